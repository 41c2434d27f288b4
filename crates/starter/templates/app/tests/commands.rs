//! The program as a person runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_«app»"));
    program.args(arguments).env_clear().envs(env.iter().copied()).current_dir(folder).output().unwrap()
}

/// Without the line breaks that the width of a terminal causes.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every command is there; change this together with its implementation.
#[tokio::test]
async fn every_command_runs() {
//% if store == "clickhouse"
    let Some(database) = kennel_testkit::TestClickHouse::create() else { return };
//% elif store != "sqlite"
    let Some(database) = kennel_testkit::TestDatabase::«store»().await else { return };
//% endif
//% if store != "sqlite"
    let dsn = database.dsn();
//% endif
    let folder = tempfile::tempdir().unwrap();
    let env = [
//% if store == "sqlite"
        ("SQLITE_PATH", "test.db"),
//% else
        ("STORAGE", "«store»"),
        ("«store|upper»_DSN", &dsn),
//% endif
//% for driver in drivers if driver.kind == "telegram"
        ("«driver.module|upper»_TELEGRAM_TOKEN", "1:test"),
//% endfor
    ];
    for arguments in [
//% for leaf in cli.leaves
        &[«leaf.arguments»][..],
//% endfor
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
    for about in [«% for command in cli.commands %»«command.about», «% endfor %»] {
        assert!(text.contains(&one_line(about)), "{text}");
    }
    for arguments in [
        &["no-such-command"][..],
//% for leaf in cli.leaves
        &[«leaf.words», "--no-such-flag"],
//% if leaf.has_required
        &[«leaf.words»],
//% endif
//% endfor
    ] {
        assert_eq!(run(folder.path(), &[], arguments).status.code(), Some(64), "{arguments:?}");
    }
}
