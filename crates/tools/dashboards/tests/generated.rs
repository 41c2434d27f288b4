//! Checks that the files under `infra/` match the code. `UPDATE=1` regenerates them.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kennel_dashboards::{Rule, Source, all_groups, boards, files, market, recorded, slo, templates};
use kennel_telemetry::metrics::names;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

#[test]
fn committed_files_are_current() {
    assert_current(&root().join("infra"), files().unwrap());
}

#[test]
fn committed_templates_of_the_starter_are_current() {
    assert_current(&root().join("crates/starter/templates/infra"), templates().unwrap());
}

fn assert_current(folder: &Path, files: Vec<(PathBuf, String)>) {
    let update = std::env::var_os("UPDATE").is_some();
    let mut stale = Vec::new();
    for (path, text) in files {
        let full = folder.join(&path);
        if update {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(&full, &text).unwrap();
        }
        if fs::read_to_string(&full).ok() != Some(text) {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale, run `make generate`: {stale:?}");
}

#[test]
fn generated_folders_contain_no_other_files() {
    let generated: BTreeSet<_> =
        files().unwrap().into_iter().map(|(path, _)| root().join("infra").join(path)).collect();
    for folder in ["grafana/dashboards", "prometheus/rules"] {
        for entry in fs::read_dir(root().join("infra").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert!(generated.contains(&path), "{} is not generated", path.display());
        }
    }
}

/// Every metric name in an expression is known, and every known metric is used.
#[test]
fn expressions_use_only_known_metrics() {
    let exprs = boards::all()
        .iter()
        .flat_map(|board| board.panels().flat_map(|panel| panel.queries().to_vec()).collect::<Vec<_>>())
        .filter(|query| query.source == Source::Prometheus)
        .map(|query| query.expr)
        .chain(all_groups().unwrap().iter().flat_map(|group| group.rules().iter().map(expr_of).collect::<Vec<_>>()))
        .collect::<Vec<_>>();
    assert!(exprs.len() > 80, "{}", exprs.len());
    let used: BTreeSet<_> = exprs.iter().flat_map(|expr| metrics_in(expr)).collect();
    let unknown: Vec<_> = used.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let known = names::ALL.iter().chain(&market::names::ALL);
    let unused: Vec<_> = known.filter(|name| !used.iter().any(|used| used.starts_with(*name))).collect();
    assert!(unused.is_empty(), "no panel shows {unused:?}");
}

/// The services of the market analytics register the metrics of its dashboard.
#[test]
fn the_metrics_of_the_market_analytics_are_in_its_sources() {
    fn collect(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(&entry, text);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(entry).unwrap());
            }
        }
    }
    let mut sources = String::new();
    collect(&root().join("crates/market"), &mut sources);
    let missing: Vec<_> = market::names::ALL.iter().filter(|name| !sources.contains(&format!("\"{name}\""))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Only histograms have exemplars, and Prometheus 3 returns no result for an exemplar query without series.
#[test]
fn exemplars_are_queried_only_for_histograms() {
    let mut queried = 0;
    for board in boards::all() {
        let json: Value = serde_json::from_str(&board.to_json().unwrap()).unwrap();
        for panel in json["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let Some(exemplar) = target["exemplar"].as_bool() else { continue };
                let is_latency = target["expr"].as_str().unwrap().starts_with("histogram_quantile(");
                assert_eq!(exemplar, is_latency && panel["type"] == "timeseries", "{target}");
                queried += u32::from(exemplar);
            }
        }
    }
    assert!(queried > 12, "{queried}");
}

fn expr_of(rule: &Rule) -> String {
    match rule {
        Rule::Record(recording) => recording.expr().to_owned(),
        Rule::Alert(alert) => alert.expr().to_owned(),
    }
}

/// Metric names in an expression: words with `_` or `:` outside of braces and brackets, except functions and keywords.
fn metrics_in(expr: &str) -> Vec<String> {
    let outside: String = without_braces(expr);
    outside
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| word.contains(['_', ':']) && !word.starts_with('_'))
        .filter(|word| {
            !["histogram_quantile", "avg_over_time", "max_over_time", "group_left", "span_kind", "span_name"]
                .contains(word)
        })
        .map(str::to_owned)
        .collect()
}

fn without_braces(expr: &str) -> String {
    let mut depth = 0;
    expr.chars()
        .filter(|c| {
            depth += i32::from(matches!(c, '{' | '['));
            let outside = depth == 0;
            depth -= i32::from(matches!(c, '}' | ']'));
            outside
        })
        .collect()
}

fn is_known(name: &str) -> bool {
    let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let recorded = slo::WINDOWS.map(|(_, name)| name);
    let derived = [recorded::MISSED, recorded::ERROR_BUDGET, recorded::SPANS, recorded::SPAN_DURATION];
    let registered = names::ALL.iter().chain(&market::names::ALL).any(|known| [base, name].contains(known));
    registered || recorded.contains(&name) || derived.contains(&base)
}

#[test]
fn every_alert_has_a_runbook_that_the_index_names() {
    let index = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let mut expected = BTreeSet::new();
    for group in all_groups().unwrap() {
        for rule in group.rules() {
            let Rule::Alert(alert) = rule else { continue };
            let runbook = fs::read_to_string(root().join(alert.runbook()))
                .unwrap_or_else(|error| panic!("{}: {}: {error}", alert.name(), alert.runbook()));
            assert!(runbook.contains(alert.name()), "{} does not name {}", alert.runbook(), alert.name());
            let link = alert.runbook().trim_start_matches("docs/");
            assert!(
                index.contains(link) && index.contains(alert.name()),
                "operations.md does not name {}",
                alert.name()
            );
            expected.insert(link.trim_start_matches("runbooks/").to_owned());
        }
    }
    let pages: BTreeSet<_> = fs::read_dir(root().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(pages, expected);
}

/// Labels in the user interfaces of Grafana and Prometheus.
const UI_LABELS: [&str; 2] = ["Logs for this span", "Status → Target health"];

/// Runbooks refer to dashboards in bold and to panels in italics.
#[test]
fn runbooks_name_dashboards_and_panels_that_exist() {
    let boards = boards::all();
    let dashboards: BTreeSet<_> = boards.iter().map(kennel_dashboards::Dashboard::title).collect();
    let panels: BTreeSet<_> =
        boards.iter().flat_map(|board| board.panels().map(kennel_dashboards::Panel::title)).collect();
    let (mut named, mut unknown) = (0, Vec::new());
    for page in fs::read_dir(root().join("docs/runbooks")).unwrap() {
        let path = page.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace('\n', " ");
        // Every other fragment between two marks is emphasized.
        for (index, fragment) in text.split("**").enumerate() {
            let bold = (index % 2 == 1).then_some((fragment, &dashboards));
            let italics = fragment.split('*').skip(1).step_by(2).map(|title| (title, &panels));
            for (title, known) in bold.into_iter().chain(italics) {
                named += 1;
                if !known.contains(title) && !UI_LABELS.contains(&title) {
                    unknown.push((path.file_name().unwrap().to_owned(), title.to_owned()));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(named > 20, "{named}");
}
