//! The program over the tests of a small package, by the real Cargo.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MANIFEST: &str = "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n";
const LIBRARY: &str = "/// ```\n/// assert!(small::good());\n/// ```\npub fn good() -> bool { true }\n";
const SERVERS: &str = r#"
mod nats {
    #[test] fn sends() { if std::env::var_os("TEST_SMALL").is_none() { eprintln!("skipped: TEST_SMALL is not set"); } }
    #[test] fn receives() { println!("chatter"); }
}
mod memory { #[test] fn sends() { assert!(std::env::var_os("FAIL_SMALL").is_none(), "as told"); } }
"#;
const TABLE: &str = "broker memory - small servers memory\nbroker nats nats small servers nats\n";

fn package() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", LIBRARY),
        ("tests/servers.rs", SERVERS),
        ("table", TABLE),
        (".cargo/config.toml", ""),
    ] {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

fn matrix(home: &Path, variables: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennel-matrix"));
    command.arg("table").args(["--offline", "--", "--test-threads=2"]).current_dir(home);
    command.env("CARGO_TARGET_DIR", home.join("target")).env_remove("REQUIRE_BACKENDS");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    (output, said)
}

#[test]
fn tells_passed_skipped_and_failed_apart() {
    let home = package();
    let (output, said) = matrix(home.path(), &[]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("broker           memory        1       0        0\n"), "{said}");
    assert!(said.contains("broker           nats          1       0        1\n"), "{said}");
    assert!(said.contains("everything else                1       0        0\n"), "{said}");
    assert!(!said.contains("chatter"), "{said}");

    let (output, said) = matrix(home.path(), &[("REQUIRE_BACKENDS", "nats")]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("problem: broker nats: 1 skipped\n"), "{said}");

    let (output, said) = matrix(home.path(), &[("REQUIRE_BACKENDS", "nats"), ("TEST_SMALL", "here")]);
    assert!(output.status.success(), "{said}");

    let (output, said) = matrix(home.path(), &[("FAIL_SMALL", "1")]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("problem: broker memory: 1 failed\n") && said.contains("as told"), "{said}");
}

#[test]
fn fails_when_nothing_can_be_built() {
    let home = package();
    fs::write(home.path().join("src/lib.rs"), "nonsense").unwrap();
    let (output, said) = matrix(home.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("problem: broker memory: no case ran\n"), "{said}");
}

#[test]
fn says_how_it_is_used() {
    let program = env!("CARGO_BIN_EXE_kennel-matrix");
    assert_eq!(Command::new(program).output().unwrap().status.code(), Some(64));
    let missing = Command::new(program).arg("no such table").output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("error: no such table: "));
}
