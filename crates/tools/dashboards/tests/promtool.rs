//! Checks the committed configuration and rules with Prometheus' promtool.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

use std::path::{Path, PathBuf};
use std::process::Command;

use kennel_testkit::Backend;

fn promtool() -> Option<PathBuf> {
    Backend::Prometheus.address().map(|prometheus| Path::new(&prometheus).with_file_name("promtool"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../infra/prometheus")
}

/// The files of the generated project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/shop/infra/prometheus")
}

/// Files of a folder.
fn files(name: &str) -> Vec<PathBuf> {
    files_in(&folder().join(name))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    files
}

fn succeeds(args: &[&str], files: &[PathBuf]) {
    let Some(promtool) = promtool() else { return };
    let output = Command::new(promtool).args(args).args(files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_configuration_is_valid() {
    succeeds(&["check", "config"], &[folder().join("prometheus.yml")]);
    succeeds(&["check", "config"], &[project().join("prometheus.yml")]);
}

#[test]
fn rules_are_valid() {
    succeeds(&["check", "rules", "--lint-fatal"], &files("rules"));
    succeeds(&["check", "rules", "--lint-fatal"], &files_in(&project().join("rules")));
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    succeeds(&["test", "rules"], &files("tests"));
}

#[test]
fn both_target_lists_have_the_same_services() {
    let services = |way: &str| {
        let text = std::fs::read_to_string(folder().join("targets").join(way).join("services.yml")).unwrap();
        let jobs = text.lines().filter_map(|line| line.split_once("job: "));
        jobs.map(|(_, job)| job.trim_end_matches([' ', '}']).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(services("host"), services("compose"));
    assert!(!services("host").is_empty());
}
