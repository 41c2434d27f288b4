//! Checks the dependencies between crates; the rules are those of `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Platform crates that other platform crates may depend on.
const SHARED: [&str; 4] = ["kennel-core", "kennel-app", "kennel-config", "kennel-telemetry"];

/// Platform crates that the crates of servers may depend on.
const SERVER: [&str; 5] = ["kennel-core", "kennel-app", "kennel-config", "kennel-telemetry", "kennel-net"];

/// The crates of `crates/tools`: only tests and benchmarks use them, and each other.
const TOOLS: [&str; 5] = ["kennel-testkit", "kennel-matrix", "kennel-dashboards", "kennel-loadgen", "kennel-bench"];

/// The names in `services.toml`.
fn services() -> BTreeSet<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../services.toml");
    let services: toml::Table = std::fs::read_to_string(file).expect("it exists").parse().expect("it is TOML");
    services.keys().cloned().collect()
}

/// The crates of the workspace that `name` may depend on; `None` if no rule covers the name.
fn allowed(name: &str) -> Option<Allowed> {
    Some(match name {
        "kennel-core" | "kennel-proto" | "kennel-loadgen" | "kennel-starter" | "dogs-drawing" => Allowed::Only(&[]),
        "kennel-config" | "kennel-testkit" => Allowed::Only(&["kennel-core"]),
        "kennel-app" | "kennel-telemetry" => Allowed::Only(&["kennel-core", "kennel-config"]),
        "kennel-http" | "kennel-grpc" => Allowed::Only(&SERVER),
        // It reads the keys of issuers over HTTP, and answers the question that the servers ask.
        "kennel-auth" => {
            Allowed::Only(&["kennel-core", "kennel-config", "kennel-telemetry", "kennel-net", "kennel-client"])
        }
        "kennel-telegram" => Allowed::Only(&["kennel-core", "kennel-app", "kennel-config", "kennel-client"]),
        "kennel-service" => Allowed::Platform(Vec::new()),
        "kennel-bench" => Allowed::Only(&["kennel-core", "kennel-loadgen", "kennel-proto", "kennel-testkit"]),
        name if name.starts_with("kennel-") => Allowed::Only(&SHARED),
        // Its contexts meet in the published events.
        "gifs-domain" => Allowed::Only(&["kennel-core", "gifs-contracts"]),
        "market-domain" => Allowed::Only(&[]),
        "market-venues" => Allowed::Only(&["market-domain"]),
        "market-contracts" => Allowed::Only(&["kennel-core", "kennel-proto", "market-domain"]),
        // What the documents of the generated project describe, and its implementation.
        "gifs-contracts" | "shop-contracts" => Allowed::Only(&["kennel-core"]),
        "shop-domain" => Allowed::Only(&["kennel-core", "shop-contracts"]),
        name if name.ends_with("-domain") => Allowed::Only(&["kennel-core"]),
        "dogs-sources" => Allowed::Platform(vec!["dogs-domain".to_owned(), "dogs-drawing".to_owned()]),
        "dogs-store-copy" => Allowed::Platform(vec!["dogs-domain".to_owned(), "dogs-storages".to_owned()]),
        // What the programs of a generated project share.
        "shop-proto" | "shop-transport" | "shop-workers" | "shop-clients" | "shop-drivers" => {
            let crates = ["shop-domain", "shop-proto", "shop-contracts"];
            Allowed::Platform(crates.map(str::to_owned).to_vec())
        }
        // Several services in one process, and the programs of the generated project.
        "all-in-one" | "gif-pipeline" | "market-pipeline" | "shop" | "shop-web" | "shop-rpc" | "shop-orders"
        | "shop-billing" | "shop-tests" | "shop-background" | "shop-tool" | "shop-bot" => Allowed::Anything,
        name if services().contains(name) => Allowed::Anything,
        name => Allowed::Platform(vec![format!("{}-domain", name.strip_suffix("-storages")?)]),
    })
}

enum Allowed {
    Only(&'static [&'static str]),
    /// Any platform crate except `kennel-service`, which only services see, and these of the service.
    Platform(Vec<String>),
    /// Any crate that is not a tool.
    Anything,
}

impl Allowed {
    fn permits(&self, dependency: &str) -> bool {
        let used_in_services = !TOOLS.contains(&dependency);
        let is_library = used_in_services && dependency.starts_with("kennel-") && dependency != "kennel-service";
        match self {
            Self::Only(names) => names.contains(&dependency),
            Self::Platform(names) => names.iter().any(|name| name == dependency) || is_library,
            Self::Anything => used_in_services,
        }
    }
}

/// Each crate of the workspace, with the workspace crates that it depends on outside of tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata succeeds");
    let members: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    metadata
        .packages
        .iter()
        .map(|package| {
            let inside = package
                .dependencies
                .iter()
                .filter(|dependency| {
                    dependency.kind != DependencyKind::Development && members.contains(&dependency.name)
                })
                .map(|dependency| dependency.name.clone());
            (package.name.to_string(), inside.collect())
        })
        .collect()
}

fn violations(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, dependencies) in edges {
        let Some(allowed) = allowed(name) else {
            violations.push(format!("{name}: no rule says what it may depend on"));
            continue;
        };
        let forbidden = dependencies.iter().filter(|dependency| !allowed.permits(dependency));
        violations.extend(forbidden.map(|dependency| format!("{name} -> {dependency}")));
    }
    violations
}

#[test]
fn no_crate_violates_the_direction_of_dependencies() {
    let edges = edges();
    assert!(edges.contains_key("dogs-domain") && edges["dogs"].len() > 5, "the workspace is read: {edges:?}");
    assert_eq!(violations(&edges), Vec::<String>::new());
}

#[test]
fn the_rules_detect_a_forbidden_dependency() {
    let edge = |from: &str, to: &str| BTreeMap::from([(from.to_owned(), BTreeSet::from([to.to_owned()]))]);
    for (from, to) in [
        ("dogs-domain", "kennel-storage"),
        ("kennel-core", "kennel-app"),
        ("kennel-http", "dogs-domain"),
        ("kennel-cache", "kennel-broker"),
        ("kennel-http", "kennel-service"),
        ("kennel-http", "kennel-auth"),
        ("dogs-storages", "kennel-service"),
        ("dogs-storages", "dogs"),
        ("dogs-storages", "kennel-testkit"),
        ("dogs", "kennel-dashboards"),
        ("gifs-contracts", "gifs-domain"),
        ("gifs-domain", "kennel-proto"),
        ("market-domain", "kennel-core"),
        ("market-contracts", "kennel-service"),
        ("kennel-starter", "kennel-core"),
        ("shop-domain", "kennel-storage"),
        ("shop-transport", "kennel-service"),
    ] {
        assert_eq!(violations(&edge(from, to)), [format!("{from} -> {to}")]);
    }
    assert_eq!(violations(&edge("dogs-storages", "kennel-storage")), Vec::<String>::new());
}
