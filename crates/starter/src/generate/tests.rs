use super::*;
use crate::check;
use crate::rustfmt::has_extension;

fn config(text: &str) -> Config {
    check::read(text).unwrap()
}

/// Every kind of application, in a workspace of its own.
fn everything(entity: &str, stores: &str) -> String {
    format!(
        "main: {{name: my-shop, description: 'a \"quoted\" \\ text', ci: [github, gitlab]}}
platform: {{git: 'https://example.com/kennel.git', rev: abc}}
entity: {{name: {entity}}}
storage: {stores}
rest: [{{name: web, port: 8081}}]
grpc: [{{name: rpc}}]
kafka: [{{name: indexer, type: consumer}}]
worker: [{{name: nightly-report, generator_type: schedule, interval: 5m}}, {{name: poller, generator_type: daemon, interval: 30s}}]
applications:
  - {{name: both, transport: [{{name: web}}, {{name: rpc}}], kafka: [indexer]}}
  - {{name: only-web, transport: [{{name: web}}]}}
  - {{name: only-rpc, transport: [{{name: rpc}}], worker: [poller]}}
  - {{name: background, kafka: [indexer], worker: [nightly-report, poller]}}
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
