//! The benchmarks run. Their figures are not judged: tests share the machine.

use std::path::Path;
use std::process::Command;

use kennel_testkit::backends;

#[test]
fn every_contest_runs_and_prints_its_ratios() {
    let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
    let service = bench.with_file_name("dogs");
    if !service.exists() {
        return backends::skip("dogs is not built; `cargo test --workspace` builds it");
    }
    let report = tempfile::tempdir().unwrap();
    let report = report.path().join("benchmarks.md");
    let mut command = Command::new(bench);
    command.args(["--rounds", "1", "--seconds", "0.2", "--service"]).arg(&service).arg("--embedded").arg(&service);
    if cfg!(feature = "servers") {
        command.args(["--rows", "20000"]);
    }
    let output = command.arg("--output").arg(&report).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = std::fs::read_to_string(&report).unwrap();
    for (contest, section) in text.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap()) {
        if let Some((_, missing)) = section.split_once("**Not run**") {
            assert!(!is_runnable(contest, &service), "{contest}{missing}");
        } else {
            // A line for each contestant, below the head of the table.
            assert!(section.lines().filter(|line| line.starts_with("| ")).count() >= 2, "{contest}: {section}");
        }
    }
}

/// Whether this machine and this build have what a contest needs.
fn is_runnable(contest: &str, service: &Path) -> bool {
    let has = |variable: &str| std::env::var_os(variable).is_some();
    let with = |variables: &[&str]| cfg!(feature = "servers") && variables.iter().any(|variable| has(variable));
    let postgres = || with(&["TEST_SERVER_PROGRAM", "TEST_POSTGRES_DSN"]);
    match contest {
        "hot-read" | "start" | "memory" => true,
        "hot-read-grpc" => Command::new("h2load").arg("--version").output().is_ok(),
        "cold-read-mysql" | "create-mysql" => with(&["TEST_SERVER_PROGRAM", "TEST_MYSQL_DSN"]),
        "cold-read-clickhouse" => with(&["TEST_CLICKHOUSE_DSN"]),
        "relay-latency" | "relay-nats" => postgres() && has("TEST_NATS_URL"),
        "relay-kafka" => postgres() && has("TEST_KAFKA_BROKERS"),
        "import" => cfg!(feature = "servers"),
        "cached-search" | "stored-gifs" => service.with_file_name("gif-pipeline").exists(),
        "gif-file" => service.with_file_name("gif-pipeline").exists() && has("TEST_NGINX"),
        _ => postgres(),
    }
}

#[test]
fn a_missing_program_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--service", "nowhere/dogs"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("there is no nowhere/dogs; `make bench` builds it"), "{errors}");
}
