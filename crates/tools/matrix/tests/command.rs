//! Runs the program on the tests of a small package, with the real Cargo.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MANIFEST: &str = "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n";
const LIBRARY: &str = "/// ```\n/// assert!(small::good());\n/// ```\npub fn good() -> bool { true }\n";
const SERVERS: &str = r#"
mod nats {
    #[test] fn sends() { if std::env::var_os("TEST_SMALL").is_none() { eprintln!("skipped: TEST_SMALL is not set"); } }
    #[test] fn receives() { println!("noise"); }
}
mod memory { #[test] fn sends() { assert!(std::env::var_os("FAIL_SMALL").is_none(), "FAIL_SMALL is set"); } }
"#;
const TABLE: &str = "broker memory - small servers memory\nbroker nats nats small servers nats\n";

fn package() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", LIBRARY),
        ("tests/servers.rs", SERVERS),
        ("table", TABLE),
        (".cargo/config.toml", ""),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn matrix(dir: &Path, variables: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennel-matrix"));
    command.arg("table").args(["--offline", "--", "--test-threads=2"]).current_dir(dir);
    command.env("CARGO_TARGET_DIR", dir.join("target")).env_remove("REQUIRE_BACKENDS");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    (output, text)
}

#[test]
fn distinguishes_passed_skipped_and_failed() {
    let dir = package();
    let (output, text) = matrix(dir.path(), &[]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("broker           memory        1       0        0\n"), "{text}");
    assert!(text.contains("broker           nats          1       0        1\n"), "{text}");
    assert!(text.contains("everything else                1       0        0\n"), "{text}");
    assert!(!text.contains("noise"), "{text}");

    let (output, text) = matrix(dir.path(), &[("REQUIRE_BACKENDS", "nats")]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("problem: broker nats: 1 skipped\n"), "{text}");

    let (output, text) = matrix(dir.path(), &[("REQUIRE_BACKENDS", "nats"), ("TEST_SMALL", "here")]);
    assert!(output.status.success(), "{text}");

    let (output, text) = matrix(dir.path(), &[("FAIL_SMALL", "1")]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("problem: broker memory: 1 failed\n") && text.contains("FAIL_SMALL is set"), "{text}");
}

#[test]
fn fails_when_nothing_can_be_built() {
    let dir = package();
    fs::write(dir.path().join("src/lib.rs"), "nonsense").unwrap();
    let (output, text) = matrix(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("problem: broker memory: no case ran\n"), "{text}");
}

#[test]
fn prints_its_usage() {
    let program = env!("CARGO_BIN_EXE_kennel-matrix");
    assert_eq!(Command::new(program).output().unwrap().status.code(), Some(64));
    let missing = Command::new(program).arg("no such table").output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("error: no such table: "));
}
