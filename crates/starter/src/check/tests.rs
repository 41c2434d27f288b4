use super::read;
use crate::config::Config;

const VALID: &str = "\
main:
  name: shop
platform:
  path: ../kennel
entity:
  name: item
rest:
  - name: api
applications:
  - name: shop-api
    transport: [{name: api}]
";

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The problems of the valid file after a replacement.
fn after(from: &str, to: &str) -> Vec<String> {
    assert!(VALID.contains(from), "{from}");
    problems(&VALID.replace(from, to))
}

#[test]
fn defaults_apply() {
    let config: Config = read(VALID).unwrap();
    assert_eq!((config.entity.plural().as_str(), &config.storage[..]), ("items", &["sqlite".to_owned()][..]));
    assert_eq!(config.rest[0].port, 8080);
}

#[test]
fn all_problems_are_reported_with_positions_and_nearest_names() {
    let text = "\
main:
  name: Shop
  descripton: a
platfrom:
  path: x
entity:
  name: item
storage: [sqlite, postgers]
rest:
  - name: api
    port: 70000
    instantiation: static
worker:
  - name: report
    generator_type: webhook
scheduler: []
applications: []
";
    assert_eq!(
        problems(text),
        [
            "1:1: `platform` is missing: where the platform crates are: one of `path`, `git` and `workspace`",
            "2:9: must be lower-case words joined by `-`, such as `shop-api`",
            "3:3: unknown key `descripton`; did you mean `description`?",
            "4:1: unknown key `platfrom`; did you mean `platform`?",
            "8:19: unknown value `postgers`; did you mean `postgres`?",
            "11:11: must be a whole number from 1 to 65535",
            "12:5: nothing is generated for `instantiation` yet; remove it",
            "15:21: unknown value `webhook`; must be one of schedule, daemon, queue, telegram",
            "16:1: nothing is generated for `scheduler` yet; remove it",
            "17:15: must have at least 1 element",
        ]
    );
}

#[test]
fn references_are_checked() {
    assert_eq!(
        after("{name: api}", "{name: apii}"),
        ["8:11: no application uses `api`", "11:24: unknown transport `apii`; did you mean `api`?"]
    );
    assert_eq!(
        after("{name: api}", ""),
        ["8:11: no application uses `api`", "10:5: needs at least one transport, consumer or worker, or a `cli`"]
    );
    assert_eq!(
        after("name: shop-api", "name: shop-domain"),
        ["10:11: `shop-domain` is the name of another crate of the project"]
    );
    assert_eq!(after("path: ../kennel", "git: x"), ["4:3: `git` and `rev` are only valid together"]);
    assert_eq!(after("path: ../kennel", "{}"), ["4:3: must have exactly one of `path`, `git` and `workspace`"]);
    assert_eq!(after("name: item", "name: event"), ["6:9: `event` has another meaning in the generated code"]);
    let text = format!("{VALID}grpc:\n  - name: api\n");
    assert_eq!(problems(&text), ["13:11: the name `api` is already used in line 8"]);
    assert_eq!(problems(&format!("{VALID}storage: [mysql, mysql]\n")), ["12:18: `mysql` is listed twice"]);
    let text = VALID.replace("rest:\n", "rest:\n  - name: other\n");
    assert_eq!(
        problems(&text),
        [
            "8:11: no application uses `other`",
            "9:5: `other` has the port 8080, too",
            "9:5: only one server for the entity is generated; remove it"
        ]
    );
    let text = format!("{VALID}grpc:\n  - name: rpc\n    port: 8080\n");
    assert_eq!(problems(&text), ["13:11: no application uses `rpc`", "14:11: `api` has the port 8080, too"]);
}

#[test]
fn documents_belong_to_their_servers_and_clients() {
    let with = |rest: &str| after("  - name: api\n", &format!("  - name: api\n{rest}"));
    assert_eq!(with("    path: a.yaml\n"), ["9:11: only `openapi` and `openapi_client` have a document"]);
    assert_eq!(with("    generator_type: openapi\n")[0], "8:5: `path` is missing: the OpenAPI document");
    for path in ["../a.yaml", "/a.yaml", "a//b", "./a.yaml", "a\\b"] {
        let expected = "10:11: must be a path below the folder of kennel.yaml";
        let found = with(&format!("    generator_type: openapi\n    path: {path}\n"));
        assert!(found.iter().any(|problem| problem == expected), "{path}: {found:?}");
    }
    let auth = "    auth_params: {transport: header, type: bearer}\n";
    assert_eq!(with(auth), ["9:18: only a client has `auth_params`; a server has `security` in its document"]);
    let text = VALID
        .replace("name: api", "name: orders")
        .replace("  - name: orders\n", "  - name: orders\n    generator_type: openapi\n    path: api/a.yaml\n");
    assert!(read(&text).is_ok(), "{:?}", read(&text).err());
    let client = "  - name: payments\n    generator_type: openapi_client\n    path: api/b.yaml\napplications:\n";
    let text = text.replace("applications:\n", client);
    assert_eq!(problems(&text), ["11:11: no application uses `payments`"]);
    let both = text.replace("[{name: orders}]", "[{name: orders}, {name: payments}]");
    assert!(read(&both).is_ok(), "{:?}", read(&both).err());
    let other = format!("{both}  - name: other\n    transport: [{{name: orders}}]\n");
    let expected = "17:5: applications with the server `orders` must have the same clients, producers and queues";
    assert_eq!(problems(&other), [expected]);
    let other = format!("{both}  - name: other\n    transport: [{{name: payments}}]\n");
    assert_eq!(problems(&other), ["17:5: `payments` is only for the operations of a server of the type `openapi`"]);
}

#[test]
fn a_command_line_is_an_application_of_its_own() {
    let cli = "cli: [{name: admin, path: cli/admin.yaml}]\n";
    let tool = "  - {name: shop-tool, cli: admin}\n";
    assert!(read(&format!("{VALID}{tool}{cli}")).is_ok());
    assert_eq!(problems(&format!("{VALID}{cli}")), ["12:14: no application uses `admin`"]);
    let both = format!("{VALID}    cli: admin\n{cli}");
    assert_eq!(problems(&both), ["12:10: a command line has no transports, consumers and workers"]);
    let misspelt = format!("{VALID}{}{tool}{cli}", tool.replace("shop-tool", "other").replace("admin", "admim"));
    assert_eq!(problems(&misspelt), ["12:24: unknown cli `admim`; did you mean `admin`?"]);
    let outside = format!("{VALID}{tool}{}", cli.replace("cli/", "../"));
    assert_eq!(problems(&outside), ["13:27: must be a path below the folder of kennel.yaml"]);
    let packaged = tool.replace("cli: admin", "cli: admin, artifacts: [deb]");
    let packaged = problems(&format!("{VALID}{packaged}{cli}packaging: {{maintainer: A}}\n"));
    assert_eq!(packaged, ["12:46: a command line has no packages"]);
    let alone = format!("{VALID}deploy: {{helm: true}}\nstorage: [postgres]\n{cli}");
    let alone = alone.replace("rest:\n  - name: api\n", "").replace("transport: [{name: api}]", "cli: admin");
    assert_eq!(problems(&alone), ["10:16: a chart needs an application that is not a command line"]);
    let taken = format!("{VALID}{}{}", tool.replace("admin", "api"), cli.replace("admin", "api"));
    assert!(problems(&taken).iter().any(|problem| problem.contains("the name `api` is already used in line 8")));
}

#[test]
fn names_of_crates_are_refused() {
    for name in ["std", "anyhow", "async-trait", "serde-json", "kennel-service"] {
        let expected = format!("`{name}` is the name of a crate that the generated code uses");
        assert_eq!(after("name: shop-api", &format!("name: {name}")), [format!("10:11: {expected}")]);
        for section in ["kafka:\n  - type: consumer", "worker:\n  - generator_type: daemon"] {
            let list = section.split(':').next().unwrap();
            let text = format!("{VALID}    {list}: [{name}]\n{section}\n    name: {name}\n");
            assert_eq!(problems(&text), [format!("15:11: {expected}")], "{text}");
        }
    }
    let text =
        format!("{VALID}    worker: [shop-domain]\nworker:\n  - name: shop-domain\n    generator_type: daemon\n");
    assert_eq!(problems(&text), ["14:11: `shop-domain` is the name of a crate that the generated code uses"]);
}

/// `yes`, `0x10`, `1_000`, a quoted number and nothing at all are not what a reader takes them for.
#[test]
fn scalars_are_taken_literally() {
    for invalid in ["'8080'", "0x10", "1_000", "+80", "080", "8080.0", "", "~", "[]"] {
        let text = VALID.replace("- name: api\n", &format!("- name: api\n    port: {invalid}\n"));
        assert_eq!(problems(&text).len(), 1, "{invalid}");
        assert!(problems(&text)[0].starts_with("9:"), "{:?}", problems(&text));
    }
    for invalid in ["yes", "True", "'true'", "1", "false"] {
        assert_eq!(after("path: ../kennel", &format!("workspace: {invalid}")), ["4:14: must be `true`"], "{invalid}");
    }
}

#[test]
fn every_shape_of_value_in_every_position_is_a_problem_and_not_a_panic() {
    for (line, _) in VALID.lines().enumerate() {
        for value in ["x", "[]", "[[]]", "{}", "{a: {}}", "~", "\"\\u0000\"", "[{name: a}, {name: a}]"] {
            let mut lines: Vec<_> = VALID.lines().map(str::to_owned).collect();
            if let Some((key, _)) = lines[line].clone().split_once(':') {
                lines[line] = format!("{key}: {value}");
                let _result = read(&lines.join("\n"));
            }
        }
    }
}

#[test]
fn sections_about_what_is_around_the_programs_are_checked() {
    let with = |text: &str| problems(&format!("{VALID}{text}"));
    let sources = "grafana:\n  datasources:\n    - {name: A, type: loki, url: loki}\n    - {name: B, type: loki, url: 'http://loki'}\n";
    assert_eq!(
        with(sources),
        ["14:34: must start with `http://` or `https://`", "15:23: there is already a data source of the type `loki`",]
    );
    assert_eq!(with("deploy: {helm: true}\n"), ["12:16: a chart needs a store with a server; add one to `storage`"]);
    assert_eq!(
        with("    artifacts: [deb, deb]\n"),
        ["12:16: packages need the section `packaging`", "12:22: `deb` is listed twice"]
    );
    let packages = "    artifacts: [apk, deb]\n  - name: other\n    transport: [{name: api}]\n    artifacts: [deb]\npackaging: {maintainer: A}\n";
    let shared = "15:16: packages do not share a file of SQLite; add a store with a server to `storage`";
    assert_eq!(with(packages), [shared]);
    assert!(read(&format!("{VALID}{packages}storage: [sqlite, postgres]\n")).is_ok());
    let with_port = |formats: &str| {
        let text = VALID.replace("  - name: api\n", "  - name: api\n    port: 443\n");
        read(&format!("{text}    artifacts: [{formats}]\npackaging: {{maintainer: A}}\n"))
    };
    let found = with_port("deb").unwrap_err();
    assert_eq!(found[0].to_string(), "13:16: a unit may not listen on the port 443; use one above 1023");
    assert!(with_port("apk").is_ok(), "it has no unit");
    assert_eq!(with("packaging: {maintainer: A}\n"), ["12:12: no application has `artifacts`"]);
    assert_eq!(with("grafana: {datasource: []}\n"), ["12:11: unknown key `datasource`; did you mean `datasources`?"]);
}

#[test]
fn workers_and_drivers_have_what_their_kind_needs() {
    let with = |entries: &str, used: &str| format!("{VALID}    worker: [{used}]\nworker: [{entries}]\n");
    let worker = |entry: &str| problems(&with(entry, "mailer"));
    assert_eq!(worker("{name: mailer, generator_type: queue}"), ["13:10: `path` is missing: the file of the tasks"]);
    let path = "path: queues/mailer.yaml";
    assert!(read(&with(&format!("{{name: mailer, generator_type: queue, {path}}}"), "mailer")).is_ok());
    assert_eq!(
        worker(&format!("{{name: mailer, generator_type: daemon, {path}}}")),
        ["13:55: only a `queue` has a file of tasks"]
    );
    assert_eq!(
        worker("{name: mailer, generator_type: telegram, interval: 5s}"),
        ["13:61: only a `schedule` and a `daemon` have an interval"]
    );
    let two = with("{name: bot, generator_type: telegram}", "bot");
    let two = two.replace("worker: [{", "  - {name: other, worker: [bot]}\nworker: [{");
    assert_eq!(problems(&two), ["14:17: only one application can run a bot"]);

    let driver = |kinds: &str, used: &str| problems(&format!("{VALID}    driver: [{used}]\ndriver: [{kinds}]\n"));
    let (files, other) = ("{name: files, generator_type: s3}", "{name: other, generator_type: s3}");
    assert_eq!(driver(files, ""), ["13:17: no application uses `files`"]);
    assert_eq!(
        driver(files, "file"),
        ["12:14: unknown driver `file`; did you mean `files`?", "13:17: no application uses `files`"]
    );
    assert_eq!(driver(&format!("{files}, {other}"), "files, other"), ["12:13: an application has one object store"]);
    let queue = with(&format!("{{name: mailer, generator_type: queue, {path}}}"), "mailer")
        .replace("    worker:", "    queue: [mailer]\n    worker:");
    assert_eq!(problems(&queue), ["10:5: `mailer` is only for the operations of a server of the type `openapi`"]);
}

#[test]
fn fields_of_an_application_have_different_names() {
    let bot = "    worker: [support]\nworker: [{name: support, generator_type: telegram}]\n";
    let client = "  - {name: support, generator_type: openapi_client, path: api/b.yaml}\napplications:\n";
    let found = problems(&format!("{}{bot}", VALID.replace("applications:\n", client)));
    assert!(found.contains(&"14:17: the name `support` is already used in line 9".to_owned()), "{found:?}");
    let channel = "    driver: [alerts]\ngrpc: [{name: alerts, generator_type: proto_client, path: proto/a.proto}]\n\
                   driver: [{name: alerts, generator_type: telegram}]\n";
    let found = problems(&format!("{VALID}{channel}"));
    assert!(found.contains(&"14:17: the name `alerts` is already used in line 13".to_owned()), "{found:?}");
}
