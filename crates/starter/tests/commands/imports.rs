//! `kennel import` and `kennel completions`.

use std::fs;
use std::process::Command;

use super::{kennel, run};

#[test]
fn a_project_of_another_generator_is_printed_and_what_differs_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "main: {name: shop, author: me}\nrest:\n  - {name: sys, port: 9090}\ncli: []\nworker:\n  - {name: Reaper, generator_type: template, generator_template: daemon}\npackaging: {maintainer: me}\napplications:\n  - {name: shop-jobs, worker: [Reaper], transport: [sys]}\n";
    fs::write(folder.path().join("project.yaml"), text).unwrap();
    let output = kennel(folder.path(), &["import", "go-project-starter", "project.yaml"]);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("project.yaml:1:20: note: `author`: generated files name no author\n"), "{error}");
    assert!(error.contains("project.yaml:7:1: problem: `packaging`: "), "{error}");
    // The result is the answers of a new project.
    fs::write(
        folder.path().join("kennel.yaml"),
        format!("{}platform: {{path: ../kennel}}\n", out.replace("[github, gitlab]", "[]")),
    )
    .unwrap();
    let (code, text) = run(folder.path(), &["new", "shop", "--answers", "kennel.yaml"]);
    assert_eq!(code, 0, "{text}\n{out}");
    assert!(folder.path().join("shop/crates/workers/src/reaper.rs").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_a_position() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("project.yaml"), "main: {name: a}\nmain: {name: b}\n").unwrap();
    let (code, text) = run(folder.path(), &["import", "go-project-starter", "project.yaml"]);
    assert_eq!(code, 64, "{text}");
    assert!(text.starts_with("project.yaml:2:1: `main` is already defined in line 1\n"), "{text}");
    assert_eq!(run(folder.path(), &["import", "go-project-starter", "absent.yaml"]).0, 70);
    assert_eq!(run(folder.path(), &["import", "rails", "project.yaml"]).0, 64);
}

#[test]
fn shells_complete_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = run(folder.path(), &["completions", shell]);
        assert_eq!(code, 0, "{script}");
        for command in ["generate", "drift", "eject", "import", "setup", "dry-run"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
        fs::write(folder.path().join(shell), script).unwrap();
        // The shells that are here read it.
        if let Ok(output) = Command::new(shell).arg("-n").arg(folder.path().join(shell)).output() {
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
