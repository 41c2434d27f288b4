//! The options of `kennel.yaml`, and projects in which every pair of their values is together once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kennel_starter::config::Config;
use kennel_starter::contract::Contracts;
use kennel_starter::{check, contract};

/// An option with its values.
type Parameter = (&'static str, &'static [&'static str]);

pub(crate) const PARAMETERS: &[Parameter] = &[
    ("entity", &["item", "order_line", "ox, plural: oxen"]),
    (
        "storage",
        &["sqlite", "postgres, sqlite", "mysql, sqlite", "clickhouse, sqlite", "sqlite, postgres, mysql, clickhouse"],
    ),
    (
        "rest",
        &[
            "none",
            "entity",
            "openapi",
            "openapi and a client",
            "openapi and a client with a key",
            "openapi and a client with a token",
            "openapi and a producer",
            "openapi with both",
        ],
    ),
    ("grpc", &["none", "entity", "proto", "proto and a client"]),
    ("consumer", &["none", "entity", "typed"]),
    ("worker", &["none", "schedule", "daemon", "both", "queue", "telegram"]),
    ("driver", &["none", "s3", "telegram", "custom"]),
    ("cli", &["none", "commands"]),
    ("applications", &["one", "one for each kind"]),
    ("ci", &["none", "github", "gitlab", "github, gitlab"]),
    ("description", &["none", "a \"quoted\" text"]),
    ("live", &["none", "settings"]),
    ("surroundings", &["none", "stand", "chart and packages", "all"]),
];

/// For each parameter, the index of its value.
pub(crate) type Row = Vec<usize>;

/// The value of an option in a row.
pub(crate) fn value(row: &[usize], option: &str) -> &'static str {
    let at = PARAMETERS.iter().position(|(name, _)| *name == option).unwrap();
    PARAMETERS[at].1[row[at]]
}

/// A project needs something that runs.
const KINDS: &[&str] = &["rest", "grpc", "consumer", "worker"];

pub(crate) fn is_valid(row: &[usize]) -> bool {
    KINDS.iter().any(|option| value(row, option) != "none")
}

type Pair = (usize, usize, usize, usize);

fn pairs(row: &[usize]) -> BTreeSet<Pair> {
    let indexes = (0..row.len()).flat_map(|one| (one + 1..row.len()).map(move |other| (one, other)));
    indexes.map(|(one, other)| (one, row[one], other, row[other])).collect()
}

/// All pairs of values.
pub(crate) fn all_pairs() -> BTreeSet<Pair> {
    let mut all = BTreeSet::new();
    for (one, (_, values)) in PARAMETERS.iter().enumerate() {
        for (other, (_, others)) in PARAMETERS.iter().enumerate().skip(one + 1) {
            for value in 0..values.len() {
                all.extend((0..others.len()).map(|second| (one, value, other, second)));
            }
        }
    }
    all
}

/// A covering set: each row starts with a pair that is not covered, and gets for each other parameter the value that covers
/// most of the others. The same on every run.
pub(crate) fn covering() -> Vec<Row> {
    let mut open = all_pairs();
    let mut rows = Vec::new();
    while let Some(&(one, value, other, second)) = open.iter().next() {
        let mut row = vec![usize::MAX; PARAMETERS.len()];
        (row[one], row[other]) = (value, second);
        for parameter in (0..PARAMETERS.len()).filter(|parameter| *parameter != one && *parameter != other) {
            let gain = |value: usize| {
                let covers = |(at, known): (usize, &usize)| {
                    let pair =
                        if at < parameter { (at, *known, parameter, value) } else { (parameter, value, at, *known) };
                    open.contains(&pair)
                };
                row.iter().enumerate().filter(|(_, known)| **known != usize::MAX).filter(|found| covers(*found)).count()
            };
            // The values rotate where none is better, so that no row has the first of all.
            let values = 0..PARAMETERS[parameter].1.len();
            let count = values.len();
            let best = values.map(|value| (value + rows.len()) % count).max_by_key(|value| gain(*value)).unwrap();
            row[parameter] = best;
        }
        if !is_valid(&row) {
            let is_free = |(at, (name, _)): &(usize, &Parameter)| KINDS.contains(name) && *at != one && *at != other;
            let (free, _) = PARAMETERS.iter().enumerate().find(is_free).unwrap();
            row[free] = 1;
        }
        let covered = pairs(&row);
        open.retain(|pair| !covered.contains(pair));
        rows.push(row);
    }
    rows
}

/// The text of a row's `kennel.yaml`. Its platform and CI are those of `platform`: a workspace around it has no CI.
pub(crate) fn configuration(name: &str, row: &[usize], platform: &str) -> String {
    let mut main = format!("main: {{name: {name}");
    if value(row, "description") != "none" {
        write!(main, ", description: '{}'", value(row, "description")).unwrap();
    }
    if platform.starts_with("git") && value(row, "ci") != "none" {
        write!(main, ", ci: [{}]", value(row, "ci")).unwrap();
    }
    if value(row, "live") == "settings" {
        main.push_str(", live_settings: true");
    }
    let around = value(row, "surroundings");
    let has_stand = matches!(around, "stand" | "all");
    if has_stand {
        main.push_str(", dev_stand: true");
    }
    let (entity, storage) = (value(row, "entity"), value(row, "storage"));
    let mut text = format!("{main}}}\nplatform: {{{platform}}}\nentity: {{name: {entity}}}\nstorage: [{storage}]\n");
    let (is_packaged, has_server) = (matches!(around, "chart and packages" | "all"), storage != "sqlite");
    if has_stand {
        text.push_str("grafana: {}\n");
    }
    if is_packaged {
        text.push_str("packaging: {maintainer: A}\n");
        text.push_str(if has_server { "deploy: {helm: true}\n" } else { "" });
    }
    let (rest, transport) = rest(value(row, "rest"));
    text.push_str(&rest);
    let (grpc, services) = grpc(value(row, "grpc"));
    text.push_str(&grpc);
    let consumer = value(row, "consumer");
    let is_producer = matches!(value(row, "rest"), "openapi and a producer" | "openapi with both");
    text.push_str(&events(is_producer, consumer));
    let (section, workers) = workers(value(row, "worker"));
    text.push_str(&section);
    let mut kinds: Vec<Vec<(&str, String)>> = vec![
        transport.into_iter().map(|name| ("transport", format!("{{name: {name}}}"))).collect(),
        services.into_iter().map(|name| ("transport", format!("{{name: {name}}}"))).collect(),
        if consumer == "none" { Vec::new() } else { vec![("kafka", "reader".to_owned())] },
        workers.iter().map(|name| ("worker", (*name).to_owned())).collect(),
    ];
    if is_producer {
        kinds[0].push(("kafka", "writer".to_owned()));
    }
    let has_queue = workers.contains(&"mailer");
    if has_queue && value(row, "rest").starts_with("openapi") {
        kinds[0].push(("queue", "mailer".to_owned()));
    }
    if value(row, "applications") == "one" {
        kinds = vec![kinds.concat()];
    }
    kinds.retain(|kind| !kind.is_empty());
    let driver = value(row, "driver");
    if driver != "none" {
        writeln!(text, "driver: [{{name: link, generator_type: {driver}}}]").unwrap();
        kinds[0].push(("driver", "link".to_owned()));
    }
    if value(row, "cli") != "none" {
        text.push_str("cli: [{name: admin, path: cli/admin.yaml}]\n");
    }
    text.push_str("applications:\n");
    if value(row, "cli") != "none" {
        let queue = if has_queue { ", queue: [mailer]" } else { "" };
        // Nothing connects a driver of the project's own in a command line.
        let driver = if matches!(driver, "s3" | "telegram") { ", driver: [link]" } else { "" };
        writeln!(text, "  - {{name: {name}-tool, cli: admin{queue}{driver}}}").unwrap();
    }
    for (number, kind) in kinds.iter().enumerate() {
        writeln!(text, "  - name: {name}-app{number}").unwrap();
        // Packages do not share a file of SQLite.
        if is_packaged && (has_server || number == 0) {
            text.push_str("    artifacts: [deb, rpm, apk]\n");
        }
        let mut lists = BTreeMap::<&str, Vec<&str>>::new();
        for (list, name) in kind {
            lists.entry(list).or_default().push(name);
        }
        for (list, names) in lists {
            writeln!(text, "    {list}: [{}]", names.join(", ")).unwrap();
        }
    }
    text
}

/// The section, and the names that an application uses.
fn rest(value: &str) -> (String, Vec<&'static str>) {
    let server = "rest:\n  - {name: orders, generator_type: openapi, path: api/orders.yaml, port: 8081}\n";
    let open = format!("{server}  - name: payments\n    generator_type: openapi_client\n    path: api/payments.yaml\n");
    let client = |auth: &str| format!("{open}    auth_params: {{transport: header, type: {auth}}}\n");
    match value {
        "none" => (String::new(), Vec::new()),
        "entity" => ("rest: [{name: web}]\n".to_owned(), vec!["web"]),
        "openapi" | "openapi and a producer" => (server.to_owned(), vec!["orders"]),
        "openapi and a client" => (open, vec!["orders", "payments"]),
        "openapi and a client with a token" => (client("bearer"), vec!["orders", "payments"]),
        _ => (client("apikey"), vec!["orders", "payments"]),
    }
}

fn grpc(value: &str) -> (String, Vec<&'static str>) {
    let server = "grpc:\n  - {name: billing, generator_type: proto, path: proto/billing/v1/billing_service.proto, port: 50052}\n";
    let client = "  - {name: catalog, generator_type: proto_client, path: proto/catalog/v1/catalog.proto}\n";
    match value {
        "none" => (String::new(), Vec::new()),
        "entity" => ("grpc: [{name: rpc}]\n".to_owned(), vec!["rpc"]),
        "proto" => (server.to_owned(), vec!["billing"]),
        _ => (format!("{server}{client}"), vec!["billing", "catalog"]),
    }
}

fn workers(value: &str) -> (String, Vec<&'static str>) {
    let schedule = ("my-schedule", "schedule, interval: 30s");
    let daemon = ("my-daemon", "daemon, interval: 30s");
    let workers = match value {
        "none" => return (String::new(), Vec::new()),
        "both" => vec![schedule, daemon],
        "schedule" => vec![schedule],
        "daemon" => vec![daemon],
        "queue" => vec![("mailer", "queue, path: queues/mailer.yaml")],
        _ => vec![("helper", "telegram")],
    };
    let entries = workers.iter().map(|(name, kind)| format!("{{name: {name}, generator_type: {kind}}}"));
    let section = format!("worker: [{}]\n", entries.collect::<Vec<_>>().join(", "));
    (section, workers.iter().map(|(name, _)| *name).collect())
}

fn events(is_producer: bool, consumer: &str) -> String {
    let typed = |name: &str, kind: &str| {
        format!(
            "  - name: {name}\n    type: {kind}\n    topic: shop.orders\n    events: [{{name: orders.paid, schema: messages.order-paid}}]\n"
        )
    };
    let mut text = String::new();
    if is_producer || consumer == "typed" {
        text.push_str("jsonschema:\n  - name: messages\n    schemas: [{id: order-paid, path: events/order-paid.schema.json, key: order_id}]\n");
    }
    if is_producer || consumer != "none" {
        text.push_str("kafka:\n");
    }
    if is_producer {
        text.push_str(&typed("writer", "producer"));
    }
    match consumer {
        "entity" => text.push_str("  - {name: reader, type: consumer}\n"),
        "typed" => text.push_str(&typed("reader", "consumer")),
        _ => {}
    }
    text
}

/// The folder of the documents that the configurations refer to.
pub(crate) fn documents_folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop")
}

/// Reads a configuration and its documents.
pub(crate) fn read(text: &str) -> (Config, Contracts) {
    let config = check::read(text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let read = |path: &str| (path.to_owned(), fs::read_to_string(documents_folder().join(path)).unwrap());
    let mut documents: BTreeMap<_, _> = config.documents().map(read).collect();
    let imported: Vec<_> = documents
        .iter()
        .filter(|(path, _)| path.starts_with("proto/"))
        .flat_map(|(_, text)| contract::proto::imports(text))
        .collect();
    documents.extend(imported.iter().map(|path| read(path)));
    let contracts = contract::read(&config, &documents).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    (config, contracts)
}
