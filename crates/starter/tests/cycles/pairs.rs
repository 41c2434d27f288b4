//! Every pair of options, generated in memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kennel_starter::generate::{self, Files};
use kennel_starter::rustfmt;

use super::options::{self, PARAMETERS};

const GIT: &str = "git: 'https://example.com/kennel.git', rev: abc";

#[test]
fn the_set_covers_every_pair() {
    let rows = options::covering();
    assert!((40..80).contains(&rows.len()), "{}", rows.len());
    let mut open = options::all_pairs();
    for row in &rows {
        open.retain(|(one, value, other, second)| row[*one] != *value || row[*other] != *second);
    }
    assert_eq!(open, BTreeSet::new());
    assert_eq!(options::covering(), rows);
}

#[test]
fn every_pair_of_options_is_generated() {
    let rows = options::covering();
    let next = AtomicUsize::new(0);
    // Most of the time is spent in rustfmt.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(row);
                }
            });
        }
    });
}

fn check(row: &[usize]) {
    let text = options::configuration("shop", row, GIT);
    let (config, contracts) = options::read(&text);
    let files = generate::files(&config, &contracts).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    assert_eq!(generate::files(&config, &contracts).unwrap(), files, "{text}");
    check_code(&files, &text);
    for (path, file) in &files {
        let is = |extension: &str| rustfmt::has_extension(path, extension);
        let context = || format!("{path}\n{}\n{text}", file.text);
        if is("toml") {
            file.text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error}: {}", context()));
        }
        if (is("yml") || is("yaml")) && !path.contains("/templates/") {
            yaml_serde::from_str::<serde_json::Value>(&file.text)
                .unwrap_or_else(|error| panic!("{error}: {}", context()));
        }
        if is("json") {
            serde_json::from_str::<serde_json::Value>(&file.text)
                .unwrap_or_else(|error| panic!("{error}: {}", context()));
        }
    }
    // The options of the row are in the project.
    let has = |path: &str| files.contains_key(path);
    assert_eq!(has(".github/workflows/ci.yml"), options::value(row, "ci").contains("github"), "{text}");
    assert_eq!(has("crates/clients/src/payments.rs"), text.contains("payments"), "{text}");
    assert_eq!(files.keys().any(|path| path.starts_with("migrations/mysql/")), text.contains("mysql"), "{text}");
    let around = options::value(row, "surroundings");
    assert_eq!(has("docker/compose.yml"), matches!(around, "stand" | "all"), "{text}");
    assert_eq!(has("packaging/shop-app0/nfpm.yaml"), matches!(around, "chart and packages" | "all"), "{text}");
    assert_eq!(has("infra/helm/shop/Chart.yaml"), text.contains("helm: true"), "{text}");
    assert_eq!(has("crates/domain/src/mailer.rs"), options::value(row, "worker") == "queue", "{text}");
    assert_eq!(has("crates/drivers/src/link.rs"), options::value(row, "driver") == "custom", "{text}");
    assert_eq!(has("apps/shop-tool/tests/commands.rs"), options::value(row, "cli") == "commands", "{text}");
    for (path, file) in files.iter().filter(|(path, _)| path.ends_with("/tests/service.rs")) {
        assert_ne!(file.text.matches("MailerQueue").count(), 1, "{path} imports what it does not use\n{text}");
    }
    assert_eq!(PARAMETERS.len(), row.len());
}

/// Formatted code, in which nothing panics outside tests.
fn check_code(files: &Files, context: &str) {
    let mut code: std::collections::BTreeMap<_, _> =
        files.iter().map(|(path, file)| (path.clone(), file.text.clone())).collect();
    rustfmt::format(&mut code).unwrap();
    for (path, file) in files.iter().filter(|(path, _)| rustfmt::is_rust(path)) {
        assert_eq!(code[path], file.text, "{path}\n{context}");
        let outside_tests = file.text.split("#[cfg(test)]").next().unwrap();
        let panics = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("];
        if !path.contains("/tests/") && !path.ends_with("build.rs") {
            assert!(!panics.iter().any(|panic| outside_tests.contains(panic)), "{path}: {}\n{context}", file.text);
        }
    }
}
