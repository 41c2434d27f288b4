//! Runs `docker/with-servers` with a command that prints its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::{folder, text};

/// A password that has to reach the command unchanged, as a single-quoted value of `.env-docker`.
const PASSWORD: &str = "p@ss/w#1%2$x:?&\\\" \u{e9}";

/// `.env-docker` with another value for each variable that is a password or a secret.
fn with_passwords(value: &str) -> String {
    let changed = |line: &str| match line.split_once('=') {
        Some((name, _)) if name.ends_with("_PASSWORD") || name.ends_with("_SECRET") => format!("{name}={value}\n"),
        _ => format!("{line}\n"),
    };
    text(".env-docker").lines().map(changed).collect()
}

/// Runs `docker/with-servers` over these variables with a command that prints its environment.
fn with_servers(args: &[&str], variables: &str) -> (bool, BTreeMap<String, String>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), variables).unwrap();
    let output = Command::new(folder().join("with-servers"))
        .args(args)
        .args(["env", "-0"])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("ENV_DOCKER", file.path())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), printed.split('\0').filter_map(pair).collect(), stderr)
}

fn decoded(text: &str) -> String {
    let mut segments = text.split('%');
    let mut bytes = segments.next().unwrap().as_bytes().to_vec();
    for segment in segments {
        bytes.push(u8::from_str_radix(&segment[..2], 16).unwrap());
        bytes.extend(segment[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_password_of_any_characters_reaches_the_command() {
    let variables = with_passwords(&format!("'{PASSWORD}'"));
    let mut seen = BTreeSet::new();
    for args in [&["tests"][..], &["postgres", "nats"], &["mysql", "rabbitmq"], &["clickhouse", "memory"]] {
        let (success, environment, stderr) = with_servers(args, &variables);
        assert!(success, "{stderr}");
        for (name, value) in environment {
            if let Some(url) = ["_DSN", "_URL"].iter().any(|end| name.ends_with(end)).then_some(&value)
                && let Some((user_info, _)) = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'))
            {
                assert_eq!(decoded(user_info.split_once(':').unwrap().1), PASSWORD, "{name}");
                seen.insert(name);
            } else if name.ends_with("_PASSWORD") || name.ends_with("_SECRET") {
                assert_eq!(value, PASSWORD, "{name}");
                seen.insert(name);
            }
        }
    }
    for name in ["TEST_POSTGRES_DSN", "TEST_S3_SECRET", "POSTGRES_DSN", "MYSQL_DSN", "CLICKHOUSE_DSN", "NATS_URL"] {
        assert!(seen.contains(name), "{name}: {seen:?}");
    }
    for name in ["RABBITMQ_URL", "REDIS_PASSWORD", "S3_STORAGE_SECRET"] {
        assert!(seen.contains(name), "{name}: {seen:?}");
    }
}

#[test]
fn a_password_that_compose_and_the_shell_parse_differently_is_refused() {
    for value in ["p@ss/w#1%2$x", "a b", "a#b", "a'b'", "\"a\"", "a\\b", "$(id)", "`id`"] {
        let (success, environment, stderr) = with_servers(&["postgres", "memory"], &with_passwords(value));
        assert!(!success && environment.is_empty(), "{value}");
        assert!(stderr.contains("put the value in single quotes") && !stderr.contains(value), "{stderr}");
    }
}
