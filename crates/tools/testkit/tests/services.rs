//! Checks `services.toml`, which the Makefile and the Dockerfile read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    /// Of a service with a store.
    migrations: Option<PathBuf>,
    api: PathBuf,
    /// Read by crates/tools/dashboards.
    #[serde(rename = "objectives")]
    _objectives: Option<BTreeMap<String, f64>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn services() -> BTreeMap<String, Service> {
    toml::from_str(&fs::read_to_string(root().join("services.toml")).unwrap()).unwrap()
}

/// The names of the entries of a folder.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_service_is_a_package_with_a_program_of_its_name() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    for name in services().keys() {
        let package = metadata.packages.iter().find(|package| package.name == *name);
        let package = package.unwrap_or_else(|| panic!("there is no package `{name}`"));
        assert!(package.targets.iter().any(|target| target.is_bin() && target.name == *name), "{name}");
    }
}

/// A service has its own folders, or those of its system have one for it, such as `api/gifs/storage`.
#[test]
fn every_folder_of_migrations_and_descriptions_belongs_to_a_service() {
    let services = services();
    let systems = |folder: &str, path: fn(&Service) -> Option<&Path>| -> BTreeSet<String> {
        let system = |path: &Path| {
            assert!(root().join(path).is_dir(), "{} does not exist", path.display());
            let below = path.strip_prefix(folder).unwrap().components().next().unwrap();
            below.as_os_str().to_str().unwrap().to_owned()
        };
        services.values().filter_map(path).map(system).collect()
    };
    // The schema of kennel.yaml.
    let starter = "starter".to_owned();
    let described: BTreeSet<_> = systems("api", |service| Some(&service.api)).into_iter().chain([starter]).collect();
    assert_eq!(names("api"), described);
    // The tables of the platform.
    let events = "events".to_owned();
    let known: BTreeSet<_> =
        systems("migrations", |service| service.migrations.as_deref()).into_iter().chain([events]).collect();
    assert_eq!(names("migrations"), known);
    let paths: Vec<_> = services.values().flat_map(|service| service.migrations.iter().chain([&service.api])).collect();
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len(), "two services share a folder");
}

/// The files of GitHub and GitLab call targets of the Makefile, so that nothing runs there that does not run here.
#[test]
fn ci_files_only_call_targets_that_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<_> = makefile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split(' '))
        .collect();
    for (file, at_least) in [(".github/workflows/ci.yml", 4), (".gitlab-ci.yml", 4)] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        yaml_serde::from_str::<yaml_serde::Value>(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let called: Vec<_> = text.split("\"make ").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(called.len() >= at_least, "{file}: {called:?}");
        for target in called {
            assert!(targets.contains(target), "{file}: make {target}");
        }
        // Other people's actions are pinned to a commit.
        for action in text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, action)| action) {
            let commit = action.trim_matches('"').split_once('@').unwrap().1.split('"').next().unwrap();
            assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file}: {action}");
        }
    }
}
