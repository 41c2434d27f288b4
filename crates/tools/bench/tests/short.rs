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
    let arguments = ["--rounds", "1", "--seconds", "1", "--service"];
    let output = Command::new(bench).args(arguments).arg(&service).arg("--output").arg(&report).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = std::fs::read_to_string(&report).unwrap();
    let with_postgres = cfg!(feature = "postgres") && std::env::var_os("TEST_POSTGRES_DSN").is_some();
    let with_h2load = Command::new("h2load").arg("--version").output().is_ok();
    let contests = 1 + usize::from(with_h2load) + if with_postgres { 3 } else { 0 };
    assert_eq!(text.matches("| dogs | ").count(), contests, "{text}");
    let of_gifs = match (service.with_file_name("gif-pipeline").exists(), std::env::var_os("TEST_NGINX")) {
        (false, _) => 0,
        (true, nginx) => 1 + usize::from(nginx.is_some()),
    };
    assert_eq!(text.matches("| gif-api | ").count(), of_gifs, "{text}");
    let ratios = text.matches("x |\n").count();
    assert!(ratios >= contests + of_gifs, "{text}");
}

#[test]
fn a_missing_program_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--service", "nowhere/dogs"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("there is no nowhere/dogs; `make bench` builds it"), "{errors}");
}
