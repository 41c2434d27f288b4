//! The program as a person runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_shop-tool"));
    program.args(arguments).env_clear().envs(env.iter().copied()).current_dir(folder).output().unwrap()
}

/// Without the line breaks that the width of a terminal causes.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every command is there; change this together with its implementation.
#[tokio::test]
async fn every_command_runs() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("SQLITE_PATH", "test.db")];
    for arguments in [
        &["newest"][..],
        &["stock", "load", "--file=text"][..],
        &["stock", "purge", "--older-than=1s", "--force=false"][..],
        &["verify"][..],
    ] {
        let output = run(folder.path(), &env, arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.contains("is not implemented"), "{arguments:?}: {message}");
    }
}

/// The help describes the commands, and wrong arguments are refused before anything is connected.
#[test]
fn arguments_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &[], &["--help"]);
    let text = one_line(&String::from_utf8_lossy(&help.stdout));
    for about in ["Print the newest items", "Change the stock", "Check that every item can be read"] {
        assert!(text.contains(&one_line(about)), "{text}");
    }
    for arguments in [
        &["no-such-command"][..],
        &["newest", "--no-such-flag"],
        &["stock", "load", "--no-such-flag"],
        &["stock", "load"],
        &["stock", "purge", "--no-such-flag"],
        &["stock", "purge"],
        &["verify", "--no-such-flag"],
    ] {
        assert_eq!(run(folder.path(), &[], arguments).status.code(), Some(64), "{arguments:?}");
    }
}
