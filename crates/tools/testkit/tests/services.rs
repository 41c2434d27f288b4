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

const STORES: [&str; 4] = ["sqlite", "postgres", "mysql", "clickhouse"];

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

/// Cargo builds a service alone with the features of its `default`, and its image with those of its `full`. A build of the
/// workspace has the features of all services, so it does not show that one lacks its store. `.ci/run` checks those
/// without a store together, and so the platform without any.
#[test]
fn a_service_is_built_with_a_store_if_it_has_one() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    for (name, service) in services() {
        let package = metadata.packages.iter().find(|package| package.name == name).unwrap();
        for build in ["default", "full"] {
            let enabled = enabled(&package.features, build);
            let stores = STORES.iter().filter(|store| enabled.contains(&format!("kennel-service/{store}")));
            assert_eq!(stores.count() > 0, service.migrations.is_some(), "{name}: {enabled:?}");
        }
        assert_eq!(ci.contains(&format!(" -p {name} ")), service.migrations.is_none(), "{name} in .ci/run");
    }
}

/// What a feature enables.
fn enabled(features: &BTreeMap<String, Vec<String>>, feature: &str) -> BTreeSet<String> {
    let direct = features.get(feature).into_iter().flatten();
    direct.flat_map(|name| enabled(features, name).into_iter().chain([name.clone()])).collect()
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
    for (file, at_least) in [(".github/workflows/ci.yml", 8), (".gitlab-ci.yml", 8)] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        yaml_serde::from_str::<yaml_serde::Value>(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let called: Vec<_> =
            text.split("make ").skip(1).filter_map(|rest| rest.split(['"', '\'', ' ', '\n']).next()).collect();
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

/// The paths that the macros `include_…!` of a file name.
fn included(source: &str) -> impl Iterator<Item = &str> {
    ["include_str!(\"", "include_bytes!(\"", "include!(\""]
        .into_iter()
        .flat_map(|head| source.split(head).skip(1))
        .filter_map(|rest| rest.split('"').next())
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The crates that images do not contain.
const NOT_IN_IMAGES: [&str; 2] = ["crates/starter", "crates/tools"];

#[test]
fn what_crates_include_from_elsewhere_is_there_when_images_are_built() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let sent: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let root = metadata.workspace_root.as_std_path();
    let mut checked = 0;
    for package in &metadata.packages {
        let folder = package.manifest_path.as_std_path().parent().unwrap();
        if NOT_IN_IMAGES.iter().any(|ignored| folder.starts_with(root.join(ignored))) {
            continue;
        }
        let mut files = Vec::new();
        rust_files(&folder.join("src"), &mut files);
        for file in files {
            for path in included(&fs::read_to_string(&file).unwrap()) {
                let Ok(path) = file.parent().unwrap().join(path).canonicalize() else { continue };
                if path.starts_with(folder) {
                    continue;
                }
                let top = path.strip_prefix(root).unwrap().iter().next().unwrap().to_str().unwrap();
                assert!(
                    sent.contains(top),
                    "{} includes {}, which .dockerignore excludes",
                    file.display(),
                    path.display()
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "no path was found");
}
