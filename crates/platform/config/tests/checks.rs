//! The checks that several sections use.

use kennel_config::{ByteSize, HumanDuration, Problems, Secret};

const WEB_URL: &str = "must be an http or https URL without a user or a password";

/// Returns the message of the only error.
fn error(check: impl FnOnce(&mut Problems)) -> Option<String> {
    let mut problems = Problems::default();
    check(&mut problems);
    let mut errors = problems.into_result().err()?.0;
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.pop().map(|problem| problem.message)
}

#[test]
fn ranges_are_described_in_the_unit_of_the_value() {
    let span = |millis, range| error(|problems| problems.check_range("x", HumanDuration::from_millis(millis), range));
    let (min, max) = (HumanDuration::from_millis(100), HumanDuration::from_secs(600));
    assert_eq!(span(50, min..=max).as_deref(), Some("must be 100ms to 10m"));
    assert_eq!(span(100, min..=max), None);
    assert_eq!(span(600_000, min..=max), None);
    assert_eq!(span(600_001, min..=max).as_deref(), Some("must be 100ms to 10m"));
    let size = |bytes, range| error(|problems| problems.check_range("x", ByteSize(bytes), range));
    assert_eq!(size(0, ByteSize(1)..=ByteSize::mib(256)).as_deref(), Some("must be 1B to 256MiB"));
    let number = |number: u32| error(|problems| problems.check_range("x", number, ..=1_000));
    assert_eq!(number(1_001).as_deref(), Some("must be at most 1000"));
    let least = error(|problems| problems.check_range("x", HumanDuration::default(), HumanDuration::from_millis(1)..));
    assert_eq!(least.as_deref(), Some("must be at least 1ms"));
    let zero = error(|problems| problems.check_not_zero("x", HumanDuration::default()));
    assert_eq!(zero.as_deref(), Some("must be longer than 0s"));
}

#[test]
fn web_urls_have_a_host_and_no_credentials() {
    for good in ["http://a", "https://a.example:8443/x?y#z", "http://[::1]:9000", "http://127.0.0.1/"] {
        assert_eq!(error(|problems| problems.check_web_url("x", Some(good))), None, "{good}");
    }
    for bad in [
        "",
        "a:9000",
        "ftp://a",
        "http://",
        "http:a",
        "http:///a",
        "http://u:p@a",
        "http://u@a",
        "http://a b",
        "javascript:alert(1)",
    ] {
        assert_eq!(error(|problems| problems.check_web_url("x", Some(bad))).as_deref(), Some(WEB_URL), "{bad}");
    }
    for bad in ["http://a?x", "http://a/#x", "http://u@a?x"] {
        assert!(error(|problems| problems.check_base_url("x", Some(bad))).is_some(), "{bad}");
    }
    assert_eq!(error(|problems| problems.check_base_url("x", None)), None);
}

#[test]
fn a_server_url_contains_the_password() {
    let url = |url: &str, password: &str| {
        let (url, password) = (Secret::from(url), Secret::from(password));
        let mut problems = Problems::default();
        let found = problems.server_url(("a_url", Some(&url)), ("a_password", Some(&password)), "the broker is a");
        let found = found.map(|url| url.expose().to_owned());
        (found, problems.into_result().map_err(|errors| errors.to_string()).err())
    };
    assert_eq!(url("nats://u@a", "p/"), (Some("nats://u:p%2F@a".to_owned()), None));
    assert_eq!(url("", "p"), (None, Some("A_URL (not set): must be set when the broker is a".to_owned())));
    let (found, error) = url("nats://a", "hunter2");
    assert_eq!(found, None);
    assert!(error.is_some_and(|text| text.starts_with("A_PASSWORD ") && !text.contains("hunter2")));
}
