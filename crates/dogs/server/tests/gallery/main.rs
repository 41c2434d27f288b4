//! The gallery in a real browser. The tests are JavaScript, next to this file; Node runs them against the binary.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use kennel_testkit::Backend;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gallery");

/// Installs the Node packages of the tests once.
static INSTALLED: LazyLock<()> = LazyLock::new(|| run("", &["install"]));

fn run(chromium: &str, args: &[&str]) {
    let script = Path::new(FOLDER).join("run");
    let status = Command::new(script)
        .args(args)
        .env("TEST_CHROMIUM", chromium)
        .env("DOGS", env!("CARGO_BIN_EXE_dogs"))
        .status()
        .unwrap();
    assert!(status.success(), "{}: {status}", args.join(" "));
}

fn browse(args: &[&str]) {
    let Some(chromium) = Backend::Chromium.address() else { return };
    LazyLock::force(&INSTALLED);
    run(&chromium, args);
}

#[test]
fn dogs() {
    browse(&["test", "dogs"]);
}

#[test]
fn faults() {
    browse(&["test", "faults"]);
}

#[test]
fn keyboard() {
    browse(&["test", "keyboard"]);
}

#[test]
fn looks() {
    browse(&["test", "looks"]);
}

#[test]
fn prefix() {
    browse(&["test", "prefix"]);
}

#[test]
#[ignore = "writes docs/images; run by `make screenshots`"]
fn screenshots() {
    browse(&["screenshots"]);
}
