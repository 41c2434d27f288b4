//! Parses the output of real test programs.

use kennel_matrix::output::{Case, Outcome, Output, SKIPPED};

fn failures(text: &str) -> String {
    read(text).failures().collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Output {
    let mut output = Output::default();
    for line in text.lines() {
        output.read(line);
    }
    output
}

fn skipped(reason: &str) -> Outcome {
    Outcome::Skipped(reason.to_owned())
}

#[test]
fn each_case_has_its_outcome() {
    let cases = read(include_str!("captured/mixed.txt")).cases_of_ended(false);
    let expected = [
        Case::new("alpha::ignored", Outcome::Ignored("too long".to_owned())),
        Case::new("alpha::fails", Outcome::Failed),
        Case::new("alpha::panics", Outcome::Passed),
        Case::new("alpha::passes", Outcome::Passed),
        Case::new("alpha::skips", skipped("TEST_NATS_URL is not set, so nothing is tested against nats")),
    ];
    assert_eq!(cases, expected);
}

#[test]
fn only_failures_are_shown() {
    let shown = failures(include_str!("captured/mixed.txt"));
    assert!(shown.starts_with("---- alpha::fails stdout ----\nbefore\n"), "{shown}");
    assert!(shown.contains("assertion `left == right` failed: sums") && !shown.contains("as it should"), "{shown}");
    assert_eq!(failures(include_str!("captured/quiet.txt")), "");
}

#[test]
fn uncaptured_output_is_shown_with_a_failure() {
    let wrote = "a page did not load\n";
    let failures_of = |text: &str| failures(&text.replacen("test ", &format!("{wrote}test "), 1));
    assert!(failures_of(include_str!("captured/mixed.txt")).starts_with(wrote));
    assert_eq!(failures_of(include_str!("captured/quiet.txt")), "");
}

#[test]
fn an_aborted_program_has_failed() {
    let cases = read(include_str!("captured/aborts.txt")).cases_of_ended(false);
    let expected = [Case::new("first", Outcome::Passed), Case::new("2 tests without a result", Outcome::Failed)];
    assert_eq!(cases, expected);
}

#[test]
fn a_program_that_fails_after_its_tests_has_failed() {
    let cases = read(include_str!("captured/quiet.txt")).cases_of_ended(false);
    assert_eq!(cases.last(), Some(&Case::new("test program", Outcome::Failed)));
    assert_eq!(read(include_str!("captured/quiet.txt")).cases_of_ended(true).len(), 2);
}

#[test]
fn a_program_without_a_test_harness_is_one_case() {
    for (success, outcome) in [(true, Outcome::Passed), (false, Outcome::Failed)] {
        assert_eq!(read("ratio 0.97\n").cases_of_ended(success), [Case::new("test program", outcome)]);
    }
    assert_eq!(read("\nrunning 0 tests\n\ntest result: ok. 0 passed\n").cases_of_ended(true), []);
}

#[test]
fn several_programs_in_one_stream_add_up() {
    let text = [include_str!("captured/mixed.txt"), include_str!("captured/documentation.txt")].concat();
    let cases = read(&text).cases();
    assert_eq!(cases.len(), 7);
    assert_eq!(cases[6], Case::new("src/lib.rs - two (line 1)", Outcome::Passed));
}

#[test]
fn output_of_a_test_is_not_parsed_as_a_result() {
    let text = include_str!("captured/mixed.txt").replace("before", "test alpha::invented ... ok\nrunning 9 tests");
    assert_eq!(read(&text).cases().len(), 5);
}

#[test]
fn the_prefix_of_skips_is_the_testkits() {
    assert_eq!(SKIPPED, kennel_testkit::backends::SKIPPED);
}
