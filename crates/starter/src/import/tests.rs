use super::*;

/// Written from the documented keys of go-project-starter: what its users have in their files.
const PROJECT: &str = "\
main:
  name: OrderHub
  logger: zerolog
  registry_type: github
  author: Platform team
  use_active_record: true
git:
  repo: git@example.com:team/order-hub.git
  module_path: example.com/team/order-hub
tools:
  golang_version: \"1.26\"
rest:
  - name: orders
    path: [./api/orders.yaml]
    generator_type: ogen
    port: 8081
    version: v1
    generator_params: {auth_handler: \"off\"}
  - name: system
    generator_type: template
    generator_template: sys
    port: 9090
  - name: payment_api
    path:
      - ./api/payments.yaml
    generator_type: ogen_client
    auth_params: {transport: header, type: apikey}
grpc:
  - name: StockService
    short: stock
    path: ./stock.proto
    port: 8090
    generator_type: buf_client
jsonschema:
  - name: messages
    schemas:
      - {id: order_paid, path: ./schemas/order-paid.json}
kafka:
  - name: order_events
    type: producer
    client: main
    events:
      - {name: orders.paid, schema: messages.order_paid}
worker:
  - name: reaper
    generator_type: template
    generator_template: daemon
post_generate: [git_install, go_mod_tidy]
applications:
  - name: api
    transport:
      - {name: orders}
      - {name: system}
      - {name: payment_api}
      - {name: StockService}
    kafka: [order_events]
  - name: background
    transport: [{name: system}]
    worker: [reaper]
";

const IMPORTED: &str = "\
# Imported from a project.yaml of go-project-starter.
main:
  name: order-hub
  ci: [github, gitlab]
entity:
  name: item
storage: [postgres]
rest:
  - {name: orders, generator_type: openapi, path: api/orders.yaml, port: 8081}
  - name: payment-api
    generator_type: openapi_client
    path: api/payments.yaml
    auth_params: {transport: header, type: apikey}
grpc:
  - {name: stock-service, generator_type: proto_client, path: proto/stock.proto}
jsonschema:
  - name: messages
    schemas: [{id: order-paid, path: schemas/order-paid.json, key: id}]
kafka:
  - name: order-events
    type: producer
    topic: orders.paid
    events: [{name: orders.paid, schema: messages.order-paid}]
worker:
  - {name: reaper, generator_type: daemon}
applications:
  - name: api
    transport: [{name: orders}, {name: payment-api}, {name: stock-service}]
    kafka: [order-events]
  - name: background
    worker: [reaper]
";

fn findings(import: &Import, is_lost: bool) -> Vec<String> {
    import.findings.iter().filter(|finding| finding.is_lost == is_lost).map(ToString::to_string).collect()
}

#[test]
fn a_project_becomes_a_configuration_whose_problems_are_listed() {
    let import = go_project_starter(PROJECT).unwrap();
    assert_eq!(import.text, IMPORTED);
    let problems: Vec<_> = import.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["27:5: `stock-service` is only for the operations of a server of the type `proto`"]);
    assert_eq!(
        findings(&import, true),
        ["37:9: problem: events need a `key`, the property by which they are ordered: `id` is a placeholder"]
    );
}

/// What differs is listed, each key once, where it is.
#[test]
fn nothing_is_dropped_in_silence() {
    let import = go_project_starter(PROJECT).unwrap();
    let notes = findings(&import, false);
    let expected = [
        "1:1: note: there is no entity in the file: `item` is a placeholder",
        "2:9: note: `OrderHub` is called `order-hub` here",
        "3:3: note: `logger`: logs are written by the platform: `LOG_FORMAT` and `LOG_LEVEL`",
        "8:3: note: `repo`: `kennel setup ci` asks for the repository",
        "17:5: note: `version`: paths and versions are those of the document, above all of `servers`",
        "19:5: note: every application has metrics, health and profiles on `PROMETHEUS_PORT`, without an entry",
        "31:11: note: protobuf files are below `proto/`: copy stock.proto to proto/stock.proto",
        "32:11: note: a client has no port: it is in the URL of its server, which is a setting",
    ];
    for expected in expected {
        assert!(notes.iter().any(|note| note == expected), "{expected} is not in {notes:#?}");
    }
    // A key of every line is in the result, or there is a finding in the line.
    for (number, line) in PROJECT.lines().enumerate() {
        let key = line.trim_start_matches([' ', '-', '{']).split(':').next().unwrap();
        let is_found = notes.iter().any(|note| note.starts_with(&format!("{}:", number + 1)));
        let is_read = ["git", "tools", "generator_type", "generator_template"].contains(&key)
            || line.starts_with("      - ")
            || IMPORTED.contains(&format!("{key}:"));
        assert!(is_read || is_found, "line {}: {line}", number + 1);
    }
}

/// The problems of a file: what was replaced in the one above, and what is reported.
#[test]
fn what_cannot_be_mapped_is_a_problem_with_its_position() {
    let cases = [
        (
            "    generator_type: ogen\n",
            "    genarator_type: ogen\n",
            "15:5: problem: go-project-starter does not know `genarator_type`, and ignores it: did you mean `generator_type`?",
        ),
        (
            "    generator_type: ogen\n",
            "    generator_type: dropshot\n",
            "15:21: problem: `generator_type` must be ogen, ogen_client, or template with the template sys",
        ),
        (
            "    path: [./api/orders.yaml]",
            "    path: [./a.yaml, ./b.yaml]",
            "14:22: problem: an entry has one document here: make another entry for this one, or join them",
        ),
        (
            "[./api/orders.yaml]",
            "['git+https://example.com/a.git@main#a.yaml']",
            "14:12: problem: documents are files of the project: save git+https://example.com/a.git@main#a.yaml in it, and write its path",
        ),
        (
            "[./api/orders.yaml]",
            "../contracts/orders.yaml",
            "14:11: problem: documents are in the folder of `kennel.yaml`: move ../contracts/orders.yaml there",
        ),
        (
            "{transport: header, type: apikey}",
            "{transport: header, type: basic}",
            "27:44: problem: `type: basic` is not supported",
        ),
        (
            "    client: main\n",
            "    driver: custom\n",
            "41:13: problem: the brokers are those of the platform: a driver of your own is not supported",
        ),
        (
            "      - {name: orders.paid, schema: messages.order_paid}",
            "      - {name: orders.paid}",
            "43:9: problem: an event needs a `name` and the `schema` of its data, and is left out",
        ),
        (
            "      - {name: StockService}",
            "      - {name: StockService, config: {optional: true}}",
            "55:49: problem: what an application uses is not optional here",
        ),
        (
            "    generator_template: daemon",
            "    generator_template: cron",
            "47:25: problem: nothing is generated for workers of the type `cron`: it is left out",
        ),
        (
            "post_generate:",
            "packaging: {maintainer: me}\npost_generate:",
            "48:1: problem: `packaging`: write what you need of it for packages by hand",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(PROJECT.contains(from), "{from}");
        let import = go_project_starter(&PROJECT.replacen(from, to, 1)).unwrap();
        let problems = findings(&import, true);
        assert!(problems.iter().any(|problem| problem == expected), "{expected} is not in {problems:#?}");
    }
}

#[test]
fn command_lines_workers_and_drivers_are_mapped() {
    let text = "\
main: {name: shop, ci: []}
cli:
  - {name: admin, path: [./cli/admin.yaml], generator_type: template, generator_template: cli}
driver:
  - {name: s3_client, import: example.com/s3, package: s3, obj_name: Client}
  - {name: bot, import: example.com/telegram, package: telegram, obj_name: Bot}
  - {name: search, import: example.com/search, package: search, obj_name: Search}
  - {name: alerts, import: example.com/telegram, package: telegram, obj_name: Bot}
worker:
  - {name: helper, generator_type: template, generator_template: telegram}
  - {name: mailer, path: [./queues/mailer.yaml], generator_type: template, generator_template: queue}
applications:
  - name: shop_bot
    driver: [{name: s3_client}, {name: bot}, {name: search}]
    worker: [helper, mailer]
  - {name: tool, cli: admin, driver: [alerts]}
";
    let expected = "\
# Imported from a project.yaml of go-project-starter.
main:
  name: shop
entity:
  name: item
cli:
  - {name: admin, path: cli/admin.yaml}
driver:
  - {name: s3-client, generator_type: s3}
  - {name: search, generator_type: custom}
  - {name: alerts, generator_type: telegram}
worker:
  - {name: helper, generator_type: telegram}
  - {name: mailer, generator_type: queue, path: queues/mailer.yaml}
applications:
  - name: shop-bot
    driver: [s3-client, search]
    worker: [helper, mailer]
  - name: tool
    driver: [alerts]
    cli: admin
";
    let import = go_project_starter(text).unwrap();
    assert_eq!(import.text, expected);
    assert!(import.problems.is_empty() && findings(&import, true).is_empty(), "{import:?}");
}

/// The documentation of go-project-starter writes lists of names, and `workers`.
#[test]
fn older_forms_are_read() {
    let text =
        PROJECT.replace("worker:", "workers:").replace("    transport: [{name: system}]", "    transport: [system]");
    assert_eq!(go_project_starter(&text).unwrap().text, IMPORTED);
}

#[test]
fn files_that_are_not_valid_are_errors_with_positions() {
    let problems =
        |text: &str| go_project_starter(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(problems("[]"), ["1:1: must be a section with keys"]);
    assert_eq!(problems("main: {name: a}\n<<<<<<< HEAD\nrest: []\n").len(), 1);
    assert_eq!(problems("main: &a {name: a}\n"), ["1:10: anchors and tags are not supported"]);
    // What is wrong in the result has positions in it.
    let import = go_project_starter("main: {name: a}\napplications: [{name: b}]\n").unwrap();
    assert!(!import.problems.is_empty(), "{import:?}");
}
