//! Checks that each feature of a service links its own driver and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::MetadataCommand;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.toml");

/// Features that select a backend, and the driver crates that they link.
const DRIVERS: [(&str, &[&str]); 9] = [
    ("sqlite", &["sqlx-sqlite", "libsqlite3-sys"]),
    ("postgres", &["sqlx-postgres"]),
    ("mysql", &["sqlx-mysql"]),
    ("clickhouse", &["clickhouse"]),
    ("nats", &["async-nats"]),
    ("kafka", &["rdkafka", "rdkafka-sys", "openssl-sys"]),
    ("rabbitmq", &["lapin", "amq-protocol"]),
    ("redis", &["redis"]),
    ("s3", &["aws-sdk-s3", "aws-smithy-http-client"]),
];

/// Features that select no backend.
const OTHERS: [&str; 4] = ["default", "full", "mimalloc", "pprof"];

/// The drivers that a build of `dogs` with these features links.
fn linked(features: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--manifest-path", MANIFEST, "--package", "dogs", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--no-default-features", "--features", &features.join(",")])
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are text");
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("dogs-domain") && crates.len() > 100, "the tree is read: {tree}");
    let drivers = DRIVERS.iter().flat_map(|(_, drivers)| *drivers);
    drivers.filter(|driver| crates.contains(**driver)).map(|driver| (*driver).to_owned()).collect()
}

fn drivers_of(features: &[&str]) -> BTreeSet<String> {
    let drivers: BTreeMap<_, _> = DRIVERS.into_iter().collect();
    features.iter().flat_map(|feature| drivers[feature]).map(|driver| (*driver).to_owned()).collect()
}

#[test]
fn each_feature_links_its_own_driver_and_no_other() {
    for (feature, _) in DRIVERS {
        assert_eq!(linked(&[feature]), drivers_of(&[feature]), "{feature}");
    }
    assert_eq!(linked(&[]), BTreeSet::new(), "no feature");
}

#[test]
fn features_add_up() {
    assert_eq!(linked(&["default"]), drivers_of(&["sqlite"]));
    assert_eq!(linked(&["postgres", "nats"]), drivers_of(&["postgres", "nats"]));
    assert_eq!(linked(&["full"]), drivers_of(&DRIVERS.map(|(feature, _)| feature)));
}

#[test]
fn every_service_has_the_allocator_of_full_builds() {
    let metadata = MetadataCommand::new().manifest_path(MANIFEST).no_deps().exec().expect("cargo metadata succeeds");
    let mut services = 0;
    for package in &metadata.packages {
        let (Some(full), Some(_)) = (package.features.get("full"), package.features.get("pprof")) else { continue };
        // A program of several services has it from theirs.
        if !full.iter().any(|feature| feature.ends_with("/full")) {
            services += 1;
            assert!(full.iter().any(|feature| feature == "mimalloc"), "{}: {full:?}", package.name);
        }
    }
    assert!(services > 9, "the manifests are read: {services}");
}

#[test]
fn the_table_has_every_feature() {
    let metadata = MetadataCommand::new().manifest_path(MANIFEST).no_deps().exec().expect("cargo metadata succeeds");
    let dogs =
        metadata.packages.iter().find(|package| package.name == "dogs").expect("the service is a workspace member");
    let known: BTreeSet<_> = DRIVERS.iter().map(|(feature, _)| *feature).chain(OTHERS).collect();
    assert_eq!(dogs.features.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let full: BTreeSet<_> = dogs.features["full"].iter().map(String::as_str).collect();
    assert!(DRIVERS.iter().all(|(feature, _)| full.contains(feature)), "`full` has every backend: {full:?}");
}
