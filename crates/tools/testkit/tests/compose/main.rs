//! Checks the Compose files without a container engine; `rules.rs` has the rules.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;
mod project;
mod rules;
mod with_servers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;
use kennel_testkit::Backend;

use crate::model::{Dependency, File};
use crate::rules::{PORTS, is_pinned, problems};

const STORES: [&str; 3] = ["postgres", "mysql", "clickhouse"];
const BROKERS: [&str; 3] = ["nats", "kafka", "rabbitmq"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn folder() -> PathBuf {
    root().join("docker")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The variables of `.env-docker`.
fn variables() -> BTreeMap<String, String> {
    variables_of(".env-docker")
}

fn variables_of(path: &str) -> BTreeMap<String, String> {
    let file = text(path);
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').expect("NAME=value"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The names in each `${NAME}`; `$$` stands for a dollar sign.
fn references(text: &str) -> BTreeSet<String> {
    let text = text.replace("$$", "");
    text.split('$').skip(1).map(|rest| rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))).fold(
        BTreeSet::new(),
        |mut names, found| {
            let (name, _) = found.expect("variables are written ${NAME}, without defaults");
            names.insert(name.to_owned());
            names
        },
    )
}

fn with_values(text: &str, variables: &BTreeMap<String, String>) -> String {
    references(text).iter().fold(text.to_owned(), |text, name| {
        let value = variables.get(name).unwrap_or_else(|| panic!("{name} is not in .env-docker"));
        text.replace(&format!("${{{name}}}"), value)
    })
}

fn load(name: &str) -> File {
    let text = with_values(&text(&format!("docker/{name}")), &variables());
    yaml_serde::from_str(&text).unwrap_or_else(|error| panic!("docker/{name}: {error}"))
}

/// The base file merged with those of a store and a broker.
fn stack(store: &str, broker: Option<&str>) -> File {
    let mut stack = load("compose.yml");
    for backend in [Some(store), broker].into_iter().flatten() {
        stack.merge(load(&format!("compose.{backend}.yml")));
    }
    stack
}

/// The same with the GIF pipeline.
fn gifs(store: &str, broker: &str) -> File {
    let mut stack = stack(store, Some(broker));
    for part in ["gifs".to_owned(), format!("gifs-{store}"), format!("gifs-{broker}")] {
        stack.merge(load(&format!("compose.{part}.yml")));
    }
    stack
}

/// The servers of the tests, merged with the services that they extend.
fn test_servers() -> File {
    let mut file = load("compose.test.yml");
    for service in file.services.values_mut() {
        let Some(extends) = service.extends.take() else { continue };
        let mut base = load(&extends.file).services.remove(&extends.service).expect("the service that is extended");
        assert!(base.depends_on.is_empty(), "Compose extends no service that depends on others");
        base.merge(std::mem::take(service));
        *service = base;
    }
    file
}

fn memory(file: &File) -> u64 {
    file.services.values().filter_map(model::Service::memory).sum()
}

#[test]
fn every_stack_is_valid() {
    for store in STORES {
        for broker in [None].into_iter().chain(BROKERS.map(Some)) {
            let found = problems(&stack(store, broker), &folder());
            assert_eq!(found, Vec::<String>::new(), "{store} with {broker:?}");
        }
    }
}

#[test]
fn the_service_waits_for_all_servers_of_its_configuration() {
    for (store, broker) in STORES.into_iter().flat_map(|store| BROKERS.map(|broker| (store, broker))) {
        let stack = stack(store, Some(broker));
        let dogs = &stack.services["dogs"];
        for server in ["redis", "minio", "otel-collector", store, broker] {
            assert!(dogs.depends_on.contains_key(server), "{server}");
        }
        let setting = |name: &str| dogs.environment[name].text();
        assert_eq!((setting("STORAGE"), setting("BROKER")), (store.to_owned(), broker.to_owned()));
        assert!(dogs.read_only && dogs.cap_drop == ["ALL"] && dogs.profiles == ["app"]);
    }
}

#[test]
fn the_gif_pipeline_runs_with_every_store_and_broker() {
    for (store, broker) in STORES.into_iter().flat_map(|store| BROKERS.map(|broker| (store, broker))) {
        let stack = gifs(store, broker);
        assert_eq!(problems(&stack, &folder()), Vec::<String>::new(), "{store} with {broker}");
        for name in ["gif-storage", "gif-files"] {
            let service = &stack.services[name];
            assert!(["otel-collector", store, broker].iter().all(|server| service.depends_on.contains_key(*server)));
            let setting = |name: &str| service.environment[name].text();
            assert_eq!((setting("STORAGE"), setting("BROKER")), (store.to_owned(), broker.to_owned()));
            let dsn = setting(&format!("{}_DSN", store.to_uppercase()));
            let database = name.replace('-', "_");
            assert!(dsn.ends_with(&format!("/{database}")), "{dsn}");
            let init = fs::read_dir(folder().join("gifs")).unwrap().map(|entry| entry.unwrap().path());
            let init = init.filter(|path| path.file_stem().is_some_and(|stem| stem == store)).collect::<Vec<_>>();
            let [script] = &init[..] else { panic!("{store}: {init:?}") };
            assert!(fs::read_to_string(script).unwrap().contains(&database), "{}", script.display());
        }
        for name in ["gif-api", "gif-storage", "gif-files"] {
            let service = &stack.services[name];
            assert!(service.read_only && service.cap_drop == ["ALL"] && service.profiles == ["gifs"]);
        }
    }
}

/// The services of the market analytics, and whether they use the broker.
const MARKET: [(&str, bool); 6] = [
    ("market-simulator", false),
    ("market-data-collector", true),
    ("market-preprocessor", true),
    ("analytics-api", true),
    ("auth", false),
    ("api-gateway", false),
];

#[test]
fn the_market_analytics_run_with_every_store_and_broker() {
    for (store, broker) in STORES.into_iter().flat_map(|store| BROKERS.map(|broker| (store, broker))) {
        let mut stack = stack(store, Some(broker));
        for part in ["market".to_owned(), format!("market-{store}"), format!("market-{broker}")] {
            stack.merge(load(&format!("compose.{part}.yml")));
        }
        assert_eq!(problems(&stack, &folder()), Vec::<String>::new(), "{store} with {broker}");
        for (name, has_broker) in MARKET {
            let service = &stack.services[name];
            assert!(service.read_only && service.cap_drop == ["ALL"] && service.profiles == ["market"], "{name}");
            let setting = |name: &str| service.environment.get(name).map(model::Scalar::text);
            assert_eq!(setting("BROKER"), has_broker.then(|| broker.to_owned()), "{name}");
            assert_eq!(service.depends_on.contains_key(broker), has_broker, "{name}");
        }
        let scripts = fs::read_dir(folder().join("market")).unwrap().map(|entry| entry.unwrap().path());
        let script = scripts.filter(|path| path.file_stem().is_some_and(|stem| stem == store)).collect::<Vec<_>>();
        let script = fs::read_to_string(&script[0]).unwrap();
        for (name, database) in [("market-preprocessor", "market_preprocessor"), ("auth", "market_auth")] {
            let service = &stack.services[name];
            if service.environment["STORAGE"].text() == "sqlite" {
                assert!(store == "clickhouse" && name == "auth" && service.volumes.len() == 1, "{name}");
                continue;
            }
            let dsn = service.environment[&format!("{}_DSN", store.to_uppercase())].text();
            assert!(dsn.ends_with(&format!("/{database}")) && service.depends_on.contains_key(store), "{dsn}");
            assert!(script.contains(&format!("CREATE DATABASE {database}")) || store == "clickhouse", "{script}");
        }
        let gateway = &stack.services["api-gateway"];
        for upstream in gateway.environment["GATEWAY_UPSTREAMS"].text().split(',') {
            let address = upstream.split_once("=http://").unwrap().1;
            assert!(stack.services.contains_key(address.split_once(':').unwrap().0), "{upstream}");
        }
    }
}

#[test]
fn prometheus_finds_the_services_of_the_market_analytics() {
    let targets = text("infra/prometheus/targets/market/services.yml");
    for (name, _) in MARKET {
        assert!(targets.contains(&format!("[{name}:9090]")) && targets.contains(&format!("job: {name} ")), "{targets}");
    }
    assert!(text("Makefile").contains("SCRAPE=market $(COMPOSE)"));
}

#[test]
fn prometheus_finds_the_services_of_the_gif_pipeline() {
    let targets = text("infra/prometheus/targets/gifs/services.yml");
    for name in ["gif-api", "gif-storage", "gif-files"] {
        assert!(targets.contains(&format!("[{name}:9090]")) && targets.contains(&format!("job: {name} ")), "{targets}");
    }
    assert!(text("Makefile").contains("SCRAPE=gifs S3_STORAGE_BUCKET=gifs $(COMPOSE)"));
}

#[test]
fn prometheus_finds_the_service_in_both_modes() {
    let modes = [("compose", "dogs:9090"), ("host", "host.docker.internal:9090")];
    for (mode, address) in modes {
        let targets = text(&format!("infra/prometheus/targets/{mode}/services.yml"));
        assert!(targets.contains(address), "{targets}");
    }
    let stack = stack("postgres", None);
    let prometheus = &stack.services["prometheus"];
    let volume = format!("../infra/prometheus/targets/{}:/etc/prometheus/targets:ro,z", variables()["SCRAPE"]);
    assert!(prometheus.volumes.contains(&volume), "{:?}", prometheus.volumes);
    assert_eq!(prometheus.extra_hosts, ["host.docker.internal:host-gateway"]);
    assert!(text("Makefile").contains("SCRAPE=host $(STACK) up "));
}

#[test]
fn the_default_stack_fits_into_one_and_a_half_gibibytes() {
    let total = memory(&stack("postgres", Some("nats")));
    assert!(total <= 1536 << 20, "{} MiB", total >> 20);
}

/// The links from panels and log lines in docs/operations.md lead to Explore, which viewers cannot open.
#[test]
fn anonymous_users_of_grafana_can_open_explore() {
    let stack = stack("postgres", None);
    let grafana = &stack.services["grafana"];
    let setting = |name: &str| grafana.environment[name].text();
    assert_eq!(setting("GF_AUTH_ANONYMOUS_ENABLED"), "true");
    assert_eq!(setting("GF_AUTH_ANONYMOUS_ORG_ROLE"), "Editor");
    assert!(text("infra/grafana/provisioning/dashboards/kennel.yaml").contains("allowUiUpdates: false"));
}

#[test]
fn the_tests_have_every_server_and_its_address() {
    let servers = test_servers();
    assert_eq!(problems(&servers, &folder()), Vec::<String>::new());
    let script = text("docker/with-servers");
    let required = script.split("REQUIRE_BACKENDS=").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    // Tests start some programs themselves, and Compose has no PgBouncer, only one NATS, and no Kafka with SASL.
    let programs = [
        Backend::Prometheus,
        Backend::Chromium,
        Backend::PrivateServers,
        Backend::Faketime,
        Backend::Nginx,
        Backend::Schemathesis,
        Backend::Helm,
    ];
    let without =
        [Backend::PgBouncer, Backend::NatsCurrent, Backend::KafkaSasl].into_iter().chain(programs).collect::<Vec<_>>();
    let backends = Backend::ALL.into_iter().filter(|backend| !without.contains(backend));
    for backend in backends.clone() {
        let server = if backend == Backend::S3 { "minio" } else { backend.name() };
        assert!(servers.services.contains_key(server), "{server}");
        assert!(script.contains(&format!("{}=", backend.variable())), "{}", backend.variable());
        assert!(required.split(',').any(|name| name == backend.name()), "{required}");
    }
    assert_eq!(servers.services.len(), backends.count());
}

#[test]
fn the_page_for_operators_lists_every_port() {
    let page = text("docs/operations.md");
    let rows =
        page.split("| port | what |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table of ports");
    let documented: BTreeSet<u16> =
        rows.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    let published: BTreeSet<u16> = PORTS.iter().flat_map(|(_, ports)| *ports).map(|(host, _)| *host).collect();
    assert_eq!(documented, published);
}

#[test]
fn every_variable_is_defined_once_and_used() {
    let defined = variables();
    let script = text("docker/with-servers");
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "yml") {
            used.extend(references(&text(&format!("docker/{name}"))));
        }
    }
    let missing: Vec<_> = used.iter().filter(|name| !defined.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in .env-docker: {missing:?}");
    let unused: Vec<_> = defined.keys().filter(|name| !used.contains(*name) && !script.contains(*name)).collect();
    assert!(unused.is_empty(), "unused: {unused:?}");
    let lines = text(".env-docker").lines().filter(|line| line.contains('=') && !line.starts_with('#')).count();
    assert_eq!(lines, defined.len(), "a variable is defined twice");
}

#[test]
fn the_image_has_pinned_bases_and_runs_unprivileged() {
    for name in ["Dockerfile", "probe.Dockerfile"] {
        let file = text(&format!("docker/{name}"));
        let stages: Vec<_> = file.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
        assert!(stages.len() > 1, "{name}");
        for stage in stages {
            let image = stage.split(' ').next().unwrap();
            assert!(matches!(image, "scratch" | "${BASE}") || is_pinned(image), "{name}: {image}");
        }
    }
    let file = text("docker/Dockerfile");
    let (_, last) = file.rsplit_once("\nFROM ").unwrap();
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let id: u32 = user.split(':').next().unwrap().parse().expect("a numeric user id, which needs no lookup");
    assert_ne!(id, 0);
    assert!(last.contains("\nHEALTHCHECK ") && last.contains(r#"CMD ["/service", "healthcheck"]"#));
    assert!(!file.contains("--mount="), "needs BuildKit");
}

#[test]
fn cargo_accepts_the_manifests_that_the_image_builds_its_dependencies_from() {
    let ignored = text(".dockerignore");
    let lines = || ignored.lines().filter(|line| !line.starts_with('#'));
    let ignored_names: BTreeSet<_> = lines().filter_map(|line| line.strip_prefix("**/")).collect();
    let dir = tempfile::tempdir().unwrap();
    for name in lines().filter_map(|line| line.strip_prefix('!')) {
        copy(&root().join(name), &dir.path().join(name), &ignored_names);
    }

    let file = text("docker/Dockerfile");
    let stage = file.split("FROM ").find(|stage| stage.lines().next().unwrap().ends_with(" AS manifests")).unwrap();
    let (_, script) = stage.split_once("\nRUN ").unwrap();
    let shell = Command::new("sh").args(["-ec", script]).current_dir(&dir).status().unwrap();
    assert!(shell.success(), "{script}");
    // A build fails if a manifest lists a missing target; `cargo metadata` omits the target.
    assert_eq!(targets(dir.path()), targets(&root()));
}

/// The benchmarks and examples of the workspace at `root`, with their packages.
fn targets(root: &Path) -> BTreeSet<(String, String)> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec().unwrap();
    let targets = metadata.packages.iter().flat_map(|package| {
        let found = package.targets.iter().filter(|target| target.is_bench() || target.is_example());
        found.map(|target| (package.name.to_string(), target.name.clone()))
    });
    targets.collect()
}

fn copy(from: &Path, to: &Path, ignored_names: &BTreeSet<&str>) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if !ignored_names.contains(name.to_str().unwrap()) {
            copy(&from.join(&name), &to.join(&name), ignored_names);
        }
    }
}

#[test]
fn mistakes_are_detected() {
    type Mistake = (&'static str, fn(&mut File));
    let mistakes: [Mistake; 20] = [
        ("is not pinned", |file| redis(file).image = Some("redis:latest".to_owned())),
        ("is not pinned", |file| redis(file).image = Some("redis".to_owned())),
        ("no image", |file| redis(file).image = None),
        ("no health check", |file| redis(file).healthcheck = None),
        ("runs nothing", |file| redis(file).healthcheck.as_mut().unwrap().test = vec!["NONE".to_owned()]),
        ("which does not exist", |file| drop(file.services.remove("tempo"))),
        ("to be healthy", |file| {
            let dependency = Dependency { condition: "service_started".to_owned() };
            redis(file).depends_on.insert("minio".to_owned(), dependency);
        }),
        ("which is not declared", |file| file.volumes.clear()),
        ("which does not exist", |file| redis(file).volumes.push("../nowhere:/nowhere:ro".to_owned())),
        ("can write to", |file| prometheus(file).volumes[0] = "../infra/prometheus/rules:/rules:z".to_owned()),
        ("SELinux", |file| prometheus(file).volumes[0] = "../infra/prometheus/rules:/rules:ro".to_owned()),
        ("may use more than a quarter", |file| redis(file).tmpfs = vec!["/data:mode=1777".to_owned()]),
        ("may use more than a quarter", |file| redis(file).tmpfs = vec!["/data:size=13m,mode=1777".to_owned()]),
        ("not every user", |file| redis(file).tmpfs = vec!["/data:size=4m".to_owned()]),
        ("less than 30 s to stop", |file| prometheus(file).stop_grace_period = None),
        ("less than 30 s to stop", |file| prometheus(file).stop_grace_period = Some("10s".to_owned())),
        ("GOMEMLIMIT", |file| prometheus(file).mem_limit = Some("96m".to_owned())),
        ("to more than this machine", |file| redis(file).ports = vec!["6379:6379".to_owned()]),
        ("share port 3000", |file| redis(file).ports.push("127.0.0.1:3000:6380".to_owned())),
        ("no limit on memory", |file| redis(file).mem_limit = Some("64".to_owned())),
    ];
    for (expected, mistake) in mistakes {
        let mut stack = stack("postgres", Some("nats"));
        mistake(&mut stack);
        let found = problems(&stack, &folder());
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    }
}

fn redis(file: &mut File) -> &mut model::Service {
    file.services.get_mut("redis").expect("every stack has Redis")
}

fn prometheus(file: &mut File) -> &mut model::Service {
    file.services.get_mut("prometheus").expect("every stack has Prometheus")
}

#[test]
fn an_unknown_key_is_refused() {
    let file = "services: { redis: { image: 'redis:7.4.5', comand: [redis-server] } }";
    assert!(yaml_serde::from_str::<File>(file).unwrap_err().to_string().contains("comand"));
    let flag = "services: { redis: { image: 'redis:7.4.5', environment: { FLAG: true } } }";
    assert!(yaml_serde::from_str::<File>(flag).is_err());
}

#[test]
fn a_complete_version_is_pinned() {
    for pinned in ["redis:7.4.5-alpine", "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z", "prom/prometheus:v3.9.1"] {
        assert!(is_pinned(pinned), "{pinned}");
    }
    for loose in ["redis:7", "redis:7.4-alpine", "redis:alpine", "localhost:5000/redis", "redis:latest"] {
        assert!(!is_pinned(loose), "{loose}");
    }
}

/// Compose cannot percent-encode, so passwords are separate from URLs.
#[test]
fn no_url_of_the_compose_files_contains_a_secret() {
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        for line in text(&format!("docker/{name}")).lines() {
            let urls = line.split_whitespace().filter(|word| word.contains("://"));
            for url in urls {
                assert!(!url.contains("PASSWORD}") && !url.contains("SECRET}"), "{name}: {line}");
            }
        }
    }
}
