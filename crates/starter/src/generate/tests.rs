use super::*;
use crate::check;
use crate::rustfmt::has_extension;

/// The files of a configuration with these documents.
fn files(config: &Config) -> anyhow::Result<Files> {
    let commands = "commands:
  - {name: newest, description: 'The [newest] \"ones\"', flags: [{name: limit, type: int, default: 10, description: a}]}
  - name: stock
    description: b
    subcommands: [{name: purge, description: c, flags: [{name: type, type: duration, required: true, description: d}]}]
";
    let tasks = "queues: [{name: send, key: to, fields: [{name: to, type: string}]}, {name: type}]";
    let documents = [("cli/admin.yaml", commands), ("queues/mailer.yaml", tasks)];
    let documents = documents.map(|(path, text)| (path.to_owned(), text.to_owned())).into_iter().collect();
    super::files(config, &crate::contract::read(config, &documents).unwrap())
}

fn config(text: &str) -> Config {
    check::read(text).unwrap()
}

/// Every kind of application, in a workspace of its own.
fn everything(entity: &str, stores: &str) -> String {
    format!(
        "main: {{name: my-shop, description: 'a \"quoted\" \\ text', ci: [github, gitlab], live_settings: true}}
platform: {{git: 'https://example.com/kennel.git', rev: abc}}
entity: {{name: {entity}}}
storage: {stores}
rest: [{{name: web, port: 8081}}]
grpc: [{{name: rpc}}]
kafka: [{{name: indexer, type: consumer}}]
worker: [{{name: nightly-report, generator_type: schedule, interval: 5m}}, {{name: poller, generator_type: daemon, interval: 30s}},
  {{name: mailer, generator_type: queue, path: queues/mailer.yaml}}, {{name: helper, generator_type: telegram}}]
cli: [{{name: admin, path: cli/admin.yaml}}]
driver: [{{name: files, generator_type: s3}}, {{name: alerts, generator_type: telegram}}, {{name: search, generator_type: custom}}]
applications:
  - {{name: both, transport: [{{name: web}}, {{name: rpc}}], kafka: [indexer]}}
  - {{name: only-web, transport: [{{name: web}}]}}
  - {{name: only-rpc, transport: [{{name: rpc}}], worker: [poller]}}
  - {{name: background, kafka: [indexer], worker: [nightly-report, poller, mailer, helper], driver: [files, alerts, search]}}
  - {{name: tool, cli: admin, queue: [mailer], driver: [files]}}
"
    )
}

#[test]
fn no_word_of_the_template_is_left() {
    let files = files(&config(&everything("apple", "[mysql, sqlite, clickhouse, postgres]"))).unwrap();
    for (path, File { text, .. }) in &files {
        let text = format!("{path} {}", text.to_lowercase()).replace("annotate", "");
        assert!(
            !text.contains("note") && !text.contains(['«', '»']) && !text.contains("/%") && !text.contains("#%"),
            "{path}: {text}"
        );
        assert!(!text.contains("a apple") && !text.contains("a_apple"), "{path}");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}");
    }
}

#[test]
fn generated_files_of_other_formats_are_read_by_their_readers() {
    let files = files(&config(&everything("apple", "[sqlite]"))).unwrap();
    for (path, File { text, .. }) in &files {
        if has_extension(path, "toml") {
            text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
        }
        if has_extension(path, "yml") {
            yaml_serde::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
    let manifest: toml::Table = files["Cargo.toml"].text.parse().unwrap();
    let core = &manifest["workspace"]["dependencies"]["kennel-service"];
    assert_eq!(core["rev"].as_str(), Some("abc"));
    assert_eq!(core["default-features"].as_bool(), Some(false));
    assert!(manifest["workspace"]["lints"]["clippy"]["pedantic"].is_table());
}

#[test]
fn absent_stores_leave_nothing() {
    let files = files(&config(&everything("apple", "[postgres]"))).unwrap();
    for (path, File { text, .. }) in files.iter().filter(|(path, _)| has_extension(path, "rs")) {
        for absent in ["feature = \"sqlite\"", "feature = \"mysql\"", "feature = \"clickhouse\"", "mod mysql"] {
            assert!(!text.contains(absent), "{path} contains {absent}: {text}");
        }
    }
    assert!(!files.contains_key("migrations/sqlite/0002_apples.up.sql"));
    assert!(files.contains_key("migrations/postgres/0002_apples.up.sql"));
}

#[test]
fn the_same_configuration_gives_the_same_bytes() {
    let text = everything("apple", "[sqlite, postgres]");
    assert_eq!(files(&config(&text)).unwrap(), files(&config(&text)).unwrap());
}

/// A type that a file imports has the name of none that it declares.
#[test]
fn consumers_and_daemons_may_have_names_of_what_they_use() {
    let text = everything("item", "[sqlite]");
    let consumers = ["item-created", "item-service", "handled", "event-filter", "handler-error"];
    for (from, names) in
        [("indexer", &consumers[..]), ("poller", &["duration", "page-size", "item-service", "box-error"])]
    {
        for name in names {
            let files = files(&config(&text.replace(from, name))).unwrap();
            let module = &files[&format!("crates/workers/src/{}.rs", name.replace('-', "_"))].text;
            let imports: Vec<_> = module.lines().filter(|line| line.starts_with("use ")).collect();
            let declared = module.lines().find_map(|line| line.strip_prefix("pub struct ")).unwrap();
            let declared = declared.split('(').next().unwrap();
            let is_word = |line: &&str| line.split(|char: char| !char.is_alphanumeric()).any(|word| word == declared);
            assert!(!imports.iter().any(is_word), "{declared}: {imports:?}");
            assert!(files["apps/background/src/lib.rs"].text.contains(&format!("::{declared}(")), "{declared}");
        }
    }
}

#[test]
fn the_description_is_in_no_comment_and_in_the_readme_as_it_is() {
    let text = everything("apple", "[sqlite]").replace("a \"quoted\" \\ text", "a \"quoted\" \\ text of MyShop");
    let files = files(&config(&text)).unwrap();
    assert!(files["README.md"].text.contains("\na \"quoted\" \\ text of MyShop\n"), "{}", files["README.md"].text);
    for (path, File { text, .. }) in files.iter().filter(|(path, _)| has_extension(path, "rs")) {
        let comments = text.lines().filter(|line| line.trim_start().starts_with("//"));
        assert_eq!(comments.filter(|line| line.contains("MyShop")).count(), 0, "{path}");
    }
    let about = "const ABOUT: &'static str = \"a \\\"quoted\\\" \\\\ text of MyShop\";";
    assert!(files["apps/both/src/lib.rs"].text.contains(about), "{}", files["apps/both/src/lib.rs"].text);
}

#[test]
fn programs_that_run_next_to_each_other_have_different_ports() {
    for (rest, grpc) in [(8_081, 50_051), (9_090, 9_091), (50_051, 50_052), (65_535, 65_534)] {
        let text = everything("apple", "[sqlite]");
        let text = text
            .replace("port: 8081", &format!("port: {rest}"))
            .replace("{name: rpc}]\nkafka", &format!("{{name: rpc, port: {grpc}}}]\nkafka"));
        let files = files(&config(&text)).unwrap();
        let makefile = &files["Makefile"].text;
        let ports: Vec<u16> =
            makefile.split("PORT=").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(ports.len(), 8, "{makefile}");
        assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>().len(), 8, "{ports:?}");
        // The first program has the ports of the configuration.
        assert_eq!(ports[..2], [rest, grpc]);
        assert!(ports.iter().all(|port| files["README.md"].text.contains(&format!("on {port}"))), "{ports:?}");
    }
}

/// Every set of stores, each with another set of the rest. rustfmt reads the code, and finds the file of every module.
#[test]
fn combinations_are_complete() {
    for number in 1..16_u32 {
        let with = |bit: u32| (number * 7 + number / 3) >> bit & 1 == 1;
        let stores: Vec<_> = STORES.into_iter().enumerate().filter(|(bit, _)| number >> bit & 1 == 1).collect();
        let stores: Vec<_> = stores.into_iter().map(|(_, store)| store).collect();
        let mut lines = vec![
            "main: {name: shop}\nplatform: {path: ../kennel}\nentity: {name: ox, plural: oxen}".to_owned(),
            format!("storage: [{}]", stores.join(", ")),
        ];
        let mut transports = Vec::new();
        for (_, section) in [(0, "rest"), (1, "grpc")].into_iter().filter(|(bit, _)| with(*bit)) {
            lines.push(format!("{section}: [{{name: my-{section}}}]"));
            transports.push(format!("{{name: my-{section}}}"));
        }
        let consumers = if with(2) { "indexer" } else { "" };
        if with(2) {
            lines.push("kafka: [{name: indexer, type: consumer}]".to_owned());
        }
        let kind = if with(3) { "daemon" } else { "schedule" };
        lines.push(format!("worker: [{{name: nightly, generator_type: {kind}}}]"));
        lines.push(format!(
            "applications: [{{name: shop-server, transport: [{}], kafka: [{consumers}], worker: [nightly]}}]",
            transports.join(", ")
        ));
        let text = lines.join("\n");
        let files = files(&config(&text)).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
        check_manifests(&files);
    }
}

/// The crates that manifests refer to exist, and so do the features.
fn check_manifests(files: &Files) {
    let manifests: BTreeMap<_, toml::Table> = files
        .iter()
        .filter_map(|(path, file)| Some((path.strip_suffix("/Cargo.toml")?, file.text.parse().unwrap())))
        .collect();
    for (folder, manifest) in &manifests {
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for path in dependencies.values().filter_map(|dependency| dependency.get("path")?.as_str()) {
            let name = path.rsplit('/').next().unwrap();
            assert!(manifests.contains_key(&*format!("crates/{name}")), "{folder} depends on {path}");
        }
        let features = manifest.get("features").and_then(toml::Value::as_table).into_iter().flatten();
        for feature in features.filter_map(|(_, list)| list.as_array()).flatten().filter_map(toml::Value::as_str) {
            let package = feature.split('/').next().unwrap();
            let tables = ["dependencies", "dev-dependencies", "features"];
            assert!(tables.iter().any(|table| manifest[*table].get(package).is_some()), "{folder}: {feature}");
        }
    }
}

/// Whether a file is around the programs.
fn is_around(path: &str) -> bool {
    ["infra/", "docker/", "packaging/", ".env-docker"].iter().any(|prefix| path.starts_with(prefix))
}

/// With all that is around the programs.
fn surrounded(stores: &str) -> String {
    let text = everything("apple", stores).replace("main: {", "main: {dev_stand: true, ");
    let text = text.replace("name: only-web, ", "name: only-web, artifacts: [deb, rpm, apk], ");
    format!(
        "{text}grafana: {{datasources: [{{name: 'a: b', type: tempo, url: 'https://traces.example.com/?a=b#c'}}]}}
deploy: {{helm: true}}
packaging: {{maintainer: 'A: <a@example.com>', homepage: 'https://example.com/#a'}}
"
    )
}

#[test]
fn what_is_around_the_programs_is_read_by_its_readers() {
    let files = files(&config(&surrounded("[sqlite, postgres]"))).unwrap();
    let mut read = 0;
    for (path, File { text, .. }) in &files {
        assert!(!text.contains(['«', '»']) && text.ends_with('\n') && !text.ends_with("\n\n"), "{path}: {text}");
        let is_template = path.contains("/templates/");
        if !is_template && (has_extension(path, "yml") || has_extension(path, "yaml") || has_extension(path, "json")) {
            yaml_serde::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
            read += 1;
        }
    }
    assert!(read > 20, "{read}");
    let value = |path: &str| yaml_serde::from_str::<serde_json::Value>(&files[path].text).unwrap();
    let sources = value("infra/grafana/provisioning/datasources/datasources.yaml");
    let tempo = sources["datasources"].as_array().unwrap().iter().find(|source| source["uid"] == "tempo").unwrap();
    assert_eq!((&tempo["name"], &tempo["url"]), (&"a: b".into(), &"https://traces.example.com/?a=b#c".into()));
    let package = value("packaging/only-web/nfpm.yaml");
    assert_eq!(package["maintainer"], "A: <a@example.com>");
    for format in ["deb", "rpm"] {
        let scripts = package["overrides"][format]["scripts"].as_object().unwrap();
        assert!(scripts.len() == 3 && scripts.values().all(|path| files.contains_key(path.as_str().unwrap())));
    }
    // Only the stores of the project have containers and variables.
    let compose = value("docker/compose.yml");
    assert!(compose["services"]["postgres"].is_object() && compose["services"]["mysql"].is_null());
    assert!(!files[".env-docker"].text.contains("MYSQL") && !files["docker/with-servers"].text.contains("mysql"));
    assert!(!files.contains_key("packaging/both/nfpm.yaml"));
    // A command line is not deployed.
    let is_of_tool = |path: &str, text: &str| path.contains("tool") || text.contains("\"tool\"");
    let of_tool: Vec<_> = files.keys().filter(|path| is_around(path) && is_of_tool(path, &files[*path].text)).collect();
    assert!(of_tool.is_empty(), "{of_tool:?}");
    let chart = &files["infra/helm/my-shop/templates/background.yaml"].text;
    for secret in ["\"HELPER_TELEGRAM_TOKEN\"", "\"ALERTS_TELEGRAM_TOKEN\"", "\"kennel.objectsEnv\""] {
        assert!(chart.contains(secret), "{secret}: {chart}");
    }
    let makefile = &files["Makefile"].text;
    for line in ["\nup: ##", "\ndown: ##", "\npackages: ##", "\ndeploy: ##"] {
        assert!(makefile.contains(line), "{line}: {makefile}");
    }
    // Also those of containers that `make up` has started with other values.
    assert!(makefile.contains(" --profile postgres --profile nats "), "{makefile}");
    assert!(makefile.contains("STORE is postgres, BROKER is nats, kafka or rabbitmq"), "{makefile}");
}

#[test]
fn examples_of_settings_are_those_of_the_store() {
    let text = |stores: &str, path: &str| {
        let text = surrounded(stores).replace("name: only-rpc, ", "name: only-rpc, artifacts: [deb], ");
        files(&config(&text)).unwrap().remove(path).unwrap().text
    };
    let values = "infra/helm/my-shop/values.yaml";
    assert!(text("[postgres]", values).contains("dsn='postgres://user:password@host/my_shop'\n"));
    assert!(text("[clickhouse]", values).contains("dsn='http://user:password@host:8123/my_shop'\n"));
    // Packages do not share a file.
    assert!(text("[sqlite, mysql]", "packaging/only-web/settings.env").contains("\nSTORAGE=mysql\n"));
}

#[test]
fn a_dashboard_has_the_rows_of_what_its_application_has() {
    let files = files(&config(&surrounded("[sqlite, postgres]"))).unwrap();
    let board = |name: &str| -> serde_json::Value {
        serde_json::from_str(&files[&format!("infra/grafana/dashboards/{name}.json")].text).unwrap()
    };
    let rows = |name: &str| -> Vec<_> {
        let board = board(name);
        let panels = board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] == "row");
        panels.map(|row| row["title"].as_str().unwrap().to_owned()).collect()
    };
    let (both, background) = (rows("both"), rows("background"));
    assert!(
        both.contains(&"HTTP".to_owned())
            && both.contains(&"gRPC".to_owned())
            && both.contains(&"Consumers".to_owned())
    );
    assert!(!background.contains(&"HTTP".to_owned()) && background.contains(&"Consumers".to_owned()));
    assert!(background.contains(&"HTTP clients".to_owned()), "it calls Telegram: {background:?}");
    assert!(!rows("only-web").contains(&"Consumers".to_owned()) && !both.contains(&"HTTP clients".to_owned()));
    // Without gaps, and with the ids of the template.
    for name in ["both", "only-web", "background"] {
        let board = board(name);
        let panels = board["panels"].as_array().unwrap();
        let (mut bottom, mut ids) = (0, std::collections::BTreeSet::new());
        for panel in panels {
            let (top, height) = (panel["gridPos"]["y"].as_u64().unwrap(), panel["gridPos"]["h"].as_u64().unwrap());
            assert!(top <= bottom, "{name}: a gap above {}", panel["title"]);
            bottom = bottom.max(top + height);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {}", panel["id"]);
        }
    }
}

/// Panels below a new row move; what the user changed in one stays in it.
#[test]
fn changes_of_a_panel_stay_in_it_when_rows_are_added() {
    let text = surrounded("[sqlite, postgres]");
    let with_rows = text.replace("name: background, ", "name: background, transport: [{name: web}, {name: rpc}], ");
    assert_ne!(text, with_rows);
    let path = "infra/grafana/dashboards/background.json";
    let dashboard = |text: &str| files(&config(text)).unwrap().remove(path).unwrap().text;
    let (base, theirs) = (dashboard(&text), dashboard(&with_rows));
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let panels = |board: &serde_json::Value| board["panels"].as_array().unwrap().clone();
    assert!(panels(&value(&base)).len() + 5 < panels(&value(&theirs)).len());
    for (index, panel) in panels(&value(&base)).iter().enumerate().step_by(8) {
        let (mut ours, mut expected) = (value(&base), value(&theirs));
        ours["panels"][index]["description"] = "mine".into();
        let is_same = |other: &serde_json::Value| other["id"] == panel["id"] && other["title"] == panel["title"];
        let moved = panels(&expected).iter().position(is_same).unwrap();
        expected["panels"][moved]["description"] = "mine".into();
        match crate::merge::merge(path, &base, &format!("{ours:#}\n"), &theirs) {
            crate::merge::Merged::Clean(merged) => assert_eq!(value(&merged), expected, "{}", panel["title"]),
            crate::merge::Merged::Conflict(text) => panic!("{}: {text}", panel["title"]),
        }
    }
}

#[test]
fn a_project_without_these_sections_has_only_its_programs() {
    let files = files(&config(&everything("apple", "[sqlite, postgres]"))).unwrap();
    let found: Vec<_> = files.keys().filter(|path| is_around(path)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(!files["Makefile"].text.contains("\nup:"));
}
