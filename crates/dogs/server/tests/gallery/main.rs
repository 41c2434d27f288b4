//! The gallery in a real browser. The tests are JavaScript, beside this file; Node runs them against the program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use kennel_testkit::Backend;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gallery");

/// What the tests need of Node, installed once for all of them.
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
fn dogs_come_and_go() {
    browse(&["test", "dogs"]);
}

#[test]
fn faults_are_told() {
    browse(&["test", "faults"]);
}

#[test]
fn keys_are_enough() {
    browse(&["test", "keyboard"]);
}

#[test]
fn everyone_can_look() {
    browse(&["test", "looks"]);
}

#[test]
fn a_prefix_is_kept() {
    browse(&["test", "prefix"]);
}

#[test]
#[ignore = "writes docs/images; asked for by `make screenshots`"]
fn screenshots() {
    browse(&["screenshots"]);
}
