//! Tests of the pass/fail table and its problems.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use kennel_matrix::output::{Case, Outcome};
use kennel_matrix::record::Suite;
use kennel_matrix::report::Report;
use kennel_matrix::table::Table;

const TABLE: &str = "
    store     sqlite         -              storages  conformance  sqlite
    store     postgres       postgres       storages  conformance  postgres
    scenario  postgres_nats  postgres,nats  dogs      parity       postgres_nats
";

fn skip() -> Outcome {
    Outcome::Skipped("no server".to_owned())
}

/// A suite for each row, and one test that no row matches.
fn suites(postgres: Outcome, other: Outcome) -> Vec<Suite> {
    let stores = vec![
        Case::new("sqlite::finds", Outcome::Passed),
        Case::new("sqlite::lists", Outcome::Passed),
        Case::new("postgres::finds", Outcome::Passed),
        Case::new("postgres::lists", postgres.clone()),
    ];
    vec![
        Suite::new("storages", "conformance", stores),
        Suite::new("dogs", "parity", vec![Case::new("postgres_nats::story", postgres)]),
        Suite::new("dogs", "dogs", vec![Case::new("config::reads", other)]),
    ]
}

fn report(suites: &[Suite], required: &str) -> Report {
    Report::new(&Table::parse(TABLE).unwrap(), suites, required)
}

#[test]
fn the_table_counts_outcomes_per_backend() {
    let printed = report(&suites(skip(), Outcome::Passed), "").to_string();
    let expected = "\
port             backend        passed  failed  skipped
store            sqlite              2       0        0
store            postgres            1       0        1
scenario         postgres_nats       0       0        1
everything else                      1       0        0
all                                  4       0        2
skipped: no server
";
    assert_eq!(printed, expected);
}

#[test]
fn a_run_without_problems_has_passed() {
    let all = suites(Outcome::Passed, Outcome::Passed);
    for required in ["", "postgres", "postgres, nats"] {
        assert_eq!(report(&all, required).problems, Vec::<String>::new());
    }
}

#[test]
fn a_failure_is_a_problem_in_any_row() {
    let problems = report(&suites(Outcome::Failed, Outcome::Failed), "").problems;
    assert_eq!(problems, ["store postgres: 1 failed", "scenario postgres_nats: 1 failed", "everything else: 1 failed"]);
}

#[test]
fn tests_of_required_servers_must_not_be_skipped() {
    let skipping = suites(skip(), skip());
    assert_eq!(report(&skipping, "").problems, Vec::<String>::new());
    assert_eq!(report(&skipping, "nats").problems, ["scenario postgres_nats: 1 skipped"]);
    let all = report(&skipping, "nats,postgres").problems;
    assert_eq!(all, ["store postgres: 1 skipped", "scenario postgres_nats: 1 skipped", "everything else: 1 skipped"]);
}

#[test]
fn tests_without_a_server_must_not_be_skipped() {
    let mut suites = suites(Outcome::Passed, Outcome::Passed);
    suites[0].cases[0].outcome = skip();
    assert_eq!(report(&suites, "").problems, ["store sqlite: 1 skipped"]);
}

#[test]
fn ignored_tests_are_listed_but_not_counted() {
    let mut suites = suites(Outcome::Passed, Outcome::Passed);
    suites[0].cases.push(Case::new("sqlite::a_million", Outcome::Ignored("takes an hour".to_owned())));
    let report = report(&suites, "postgres,nats");
    assert_eq!(report.problems, Vec::<String>::new());
    let printed = report.to_string();
    assert!(printed.contains("store            sqlite              2       0        0\n"), "{printed}");
    assert!(printed.contains("ignored: storages conformance sqlite::a_million: takes an hour\n"), "{printed}");
}

#[test]
fn a_row_without_cases_is_a_problem() {
    let mut suites = suites(Outcome::Passed, Outcome::Passed);
    suites[1].cases[0].name = "renamed::story".to_owned();
    assert_eq!(report(&suites, "").problems, ["scenario postgres_nats: no case ran"]);
}

#[test]
fn a_required_server_that_no_row_needs_is_a_problem() {
    let problems = report(&suites(Outcome::Passed, Outcome::Passed), "postgres,kafka").problems;
    assert_eq!(problems, ["kafka is required, but no row of the table needs it"]);
}

#[test]
fn the_table_of_the_repository_has_rows_for_every_server() {
    let table = Table::parse(include_str!("../../../../.ci/suites")).unwrap();
    let mut servers: Vec<_> = table.servers().collect();
    servers.sort_unstable();
    servers.dedup();
    let mut backends = kennel_testkit::Backend::ALL.map(kennel_testkit::Backend::name);
    backends.sort_unstable();
    assert_eq!(servers, backends);
}
