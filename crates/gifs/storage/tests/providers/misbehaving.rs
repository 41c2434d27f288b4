//! What the adapters of APIs do when the API misbehaves.

use std::error::Error;
use std::time::{Duration, Instant};

use gifs_domain::catalogue::{FindRequest, ProviderError, Rating, Wanted};

use crate::scripted::{ITEMS, KEY, Mode, Scripted};
use crate::{Fixture, TIMEOUT, search};

fn answer(status: u16, body: &str) -> Mode {
    Mode::Answer(status, None, body.to_owned())
}

/// The error of a search, which must not show the key.
async fn error(fixture: &Fixture) -> ProviderError {
    let error = fixture.provider.find(&search("cat")).await.unwrap_err();
    let mut shown = vec![format!("{error:?}"), format!("{error:#?}")];
    let mut next: Option<&dyn Error> = Some(&error);
    while let Some(cause) = next {
        shown.push(cause.to_string());
        next = cause.source();
    }
    assert!(!shown.concat().contains(KEY), "{shown:?}");
    error
}

pub(crate) async fn the_request_is_as_documented(fixture: Fixture) {
    let request =
        FindRequest { language: Some("de".parse().unwrap()), rating: Rating::Pg13, ..search("happy cat & dog") };
    fixture.provider.find(&request).await.unwrap();
    let [url] = &fixture.server.requests()[..] else { panic!("not one request") };
    let query: Vec<_> = url.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
    if fixture.name == "giphy" {
        assert_eq!(url.path(), "/giphy/gifs/search");
        let key = format!("api_key={KEY}");
        assert_eq!(query, [&key, "rating=pg-13", "q=happy cat & dog", "limit=25", "offset=0", "lang=de"]);
    } else {
        assert_eq!(url.path(), format!("/klipy/{KEY}/gifs/search"));
        assert_eq!(query, ["page=1", "per_page=25", "rating=pg-13", "locale=de", "q=happy cat & dog"]);
    }
}

pub(crate) async fn other_requests_go_to_their_endpoints(fixture: Fixture) {
    for wanted in [Wanted::Trending, Wanted::Random(Some("cat".parse().unwrap())), Wanted::Random(None)] {
        fixture.provider.find(&FindRequest { wanted, ..search("x") }).await.unwrap();
    }
    let requests = fixture.server.requests();
    let endpoints: Vec<_> = requests.iter().map(|url| url.path().rsplit('/').next().unwrap()).collect();
    let expected =
        if fixture.name == "giphy" { ["trending", "random", "random"] } else { ["trending", "search", "trending"] };
    assert_eq!(endpoints, expected);
}

pub(crate) async fn advertisements_are_left_out(fixture: Fixture) {
    fixture.server.set(Mode::Advertisements);
    let page = fixture.provider.find(&FindRequest { size: 50, ..search("cat") }).await.unwrap();
    assert_eq!(page.gifs.len(), ITEMS - ITEMS / 3);
    // They count for the next page.
    let page = fixture.provider.find(&FindRequest { size: 9, ..search("cat") }).await.unwrap();
    assert_eq!((page.gifs.len(), page.next), (6, Some(9)));
}

pub(crate) async fn values_of_other_types_are_read_and_unusable_items_left_out(fixture: Fixture) {
    fixture.server.set(Mode::Untidy);
    let gifs = fixture.provider.find(&search("cat")).await.unwrap().gifs;
    assert_eq!(gifs.len(), 5, "{gifs:?}");
    assert_eq!(gifs[0].key.id.as_str(), "1234567890123");
    assert_eq!(gifs[1].details.tags, ["7", "cat", "fun"]);
    assert_eq!(gifs[2].details.title, "");
    let original = gifs[3].details.original().unwrap();
    assert_eq!((original.height, original.size), (None, None), "{original:?}");
    assert_eq!(original.width, (fixture.name == "klipy").then_some(480));
    assert_eq!(gifs[3].details.renditions.len(), 1);
    assert!((290..=300).contains(&gifs[4].details.title.chars().count()));
    assert!(!gifs[4].details.title.contains(char::is_control));
}

pub(crate) async fn a_slow_answer_ends_in_time(fixture: Fixture) {
    fixture.server.set(Mode::Slow(Duration::from_secs(20)));
    let started = Instant::now();
    assert!(matches!(error(&fixture).await, ProviderError::Unavailable { .. }));
    assert!(started.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", started.elapsed());
}

pub(crate) async fn an_answer_of_another_shape_is_malformed(fixture: Fixture) {
    let documents = [
        "",
        "null",
        "[]",
        "{}",
        "\"$KEY\"",
        "<html>$KEY</html>",
        r#"{"data": {"$KEY": 1}, "result": true, "meta": {"response_id": "r"}}"#,
        r#"{"data": "$KEY", "meta": {"response_id": "r"}}"#,
        r#"{"data": [], "meta": {"status": 200, "msg": "$KEY"}}"#,
        r#"{"message": "invalid key $KEY"}"#,
        r#"{"meta": {"status": 500, "msg": "$KEY"}}"#,
        r#"{"result": false, "errors": {"message": ["$KEY"]}}"#,
        r#"{"result": true, "data": {"data": "$KEY"}}"#,
        r#"{"data": [{"id": "$KEY"#,
    ];
    for document in documents {
        let fixture = Fixture::new(fixture.name).await;
        fixture.server.set(answer(200, document));
        let error = error(&fixture).await;
        assert!(matches!(error, ProviderError::Malformed(_)), "{document}: {error:?}");
    }
}

pub(crate) async fn an_answer_that_is_too_large_is_malformed(fixture: Fixture) {
    fixture.server.set(answer(200, &" ".repeat(2 << 20)));
    assert!(matches!(error(&fixture).await, ProviderError::Malformed(_)));
}

pub(crate) async fn a_key_that_is_refused_is_not_shown(fixture: Fixture) {
    for status in [401, 403, 404] {
        let fixture = Fixture::new(fixture.name).await;
        let body = r#"{"result": false, "errors": {"message": ["The key $KEY is invalid"]}, "meta": {"msg": "$KEY"}}"#;
        fixture.server.set(answer(status, body));
        let error = error(&fixture).await;
        assert!(matches!(error, ProviderError::KeyRefused), "{status}: {error:?}");
    }
}

pub(crate) async fn a_key_among_the_items_is_removed(fixture: Fixture) {
    fixture.server.set(Mode::Echoing);
    let page = fixture.provider.find(&search("cat")).await.unwrap();
    assert_eq!(page.gifs.len(), 25);
    let shown = format!("{page:?}");
    assert!(!shown.contains(KEY) && shown.contains("redacted"), "{shown}");
}

pub(crate) async fn an_api_that_fails_is_unavailable(fixture: Fixture) {
    for status in [400, 410, 500, 502, 504] {
        let fixture = Fixture::new(fixture.name).await;
        fixture.server.set(answer(status, r#"{"message": "$KEY"}"#));
        let error = error(&fixture).await;
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{status}: {error:?}");
        assert_eq!(fixture.server.requests().len(), 1, "it is not retried");
    }
}

pub(crate) async fn an_api_says_when_it_is_back(fixture: Fixture) {
    fixture.server.set(Mode::Answer(503, Some("7"), String::new()));
    assert_eq!(error(&fixture).await.retry_after(), Some(Duration::from_secs(7)));
}

pub(crate) async fn an_answer_that_is_cut_is_unavailable(fixture: Fixture) {
    fixture.server.set(Mode::Cut);
    assert!(matches!(error(&fixture).await, ProviderError::Unavailable { .. }));
}

pub(crate) async fn an_api_that_is_gone_is_unavailable_and_comes_back(mut fixture: Fixture) {
    fixture.server.stop().await;
    assert!(matches!(error(&fixture).await, ProviderError::Unavailable { .. }));
    let error = fixture.provider.find(&search("cat")).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }));
}

pub(crate) async fn after_failures_in_a_row_it_is_not_asked(fixture: Fixture) {
    for mode in [answer(500, ""), answer(200, "{}"), answer(404, "")] {
        let fixture = Fixture::new(fixture.name).await;
        fixture.server.set(mode);
        for _ in 0..10 {
            error(&fixture).await;
        }
        let error = error(&fixture).await;
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
        assert!(error.retry_after().is_some_and(|pause| pause <= Duration::from_secs(30)), "{error:?}");
        assert_eq!(fixture.server.requests().len(), 3);
    }
}

pub(crate) async fn a_success_between_failures_closes_the_circuit(fixture: Fixture) {
    for _ in 0..3 {
        fixture.server.set(answer(500, ""));
        error(&fixture).await;
        error(&fixture).await;
        fixture.server.set(Mode::Items);
        fixture.provider.find(&search("cat")).await.unwrap();
    }
}

pub(crate) async fn an_api_that_is_over_its_quota_is_not_asked(fixture: Fixture) {
    for (retry_after, pause) in [(Some("120"), Duration::from_mins(2)), (None, Duration::from_mins(5))] {
        let fixture = Fixture::new(fixture.name).await;
        fixture.server.set(Mode::Answer(429, retry_after, r#"{"message": "$KEY"}"#.to_owned()));
        for _ in 0..5 {
            let ProviderError::OverQuota { retry_after } = error(&fixture).await else { panic!("another error") };
            assert!(retry_after <= pause && retry_after + Duration::from_secs(5) > pause, "{retry_after:?}");
        }
        assert_eq!(fixture.server.requests().len(), 1);
    }
}

pub(crate) async fn our_quota_is_never_exceeded(fixture: Fixture) {
    let quota = |config: &mut gif_storage::ProviderConfig| {
        config.giphy_hourly_quota = 5;
        config.klipy_hourly_quota = 5;
    };
    let fixture = Fixture::with(fixture.name, quota).await;
    let calls: Vec<_> = (0..50).map(|_| search("cat")).collect();
    let results = futures_util::future::join_all(calls.iter().map(|request| fixture.provider.find(request))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
    assert_eq!(fixture.server.requests().len(), 5);
    let ProviderError::OverQuota { retry_after } = error(&fixture).await else { panic!("another error") };
    assert!(retry_after > Duration::from_secs(3_590) && retry_after <= Duration::from_hours(1), "{retry_after:?}");
}

pub(crate) async fn the_key_is_not_sent_elsewhere(fixture: Fixture) {
    let elsewhere = Scripted::start().await;
    fixture.server.set(Mode::Redirect(format!("http://{}/giphy/gifs?api_key={KEY}", elsewhere.address)));
    assert!(matches!(error(&fixture).await, ProviderError::Malformed(_)));
    assert_eq!(elsewhere.requests(), []);
}

pub(crate) async fn private_addresses_are_refused_by_default(fixture: Fixture) {
    let fixture = Fixture::with(fixture.name, |config| config.gif_provider_allow_private = false).await;
    assert!(matches!(error(&fixture).await, ProviderError::Malformed(_)));
    assert_eq!(fixture.server.requests(), []);
}
