//! Tests all behaviours of an API over real connections.

use kennel_client::ClientMetrics;
use kennel_testkit::upstream::{Behaviour, Route, Upstream};

use prometheus::Registry;

use super::*;

const MIB: u64 = 1 << 20;

fn breed(name: &str) -> Breed {
    name.parse().unwrap()
}

/// Allows loopback addresses, without retries.
fn config() -> ClientConfig {
    ClientConfig { allow_private: true, max_retries: 0, ..ClientConfig::default() }
}

fn source(upstream: &Upstream, config: &ClientConfig) -> DogCeoSource {
    create(&upstream.url(), config).unwrap()
}

fn create(base: &str, config: &ClientConfig) -> Result<DogCeoSource, InvalidBaseUrl> {
    let metrics = ClientMetrics::register(&Registry::new()).unwrap();
    let client = |name| Client::new(name, config, &metrics).unwrap();
    DogCeoSource::new(base, client("dog_api"), client("dog_images"), config.deadline)
}

/// The error of a request for an image while the API has this behaviour.
async fn error(behaviour: Behaviour) -> SourceError {
    let upstream = Upstream::new().await;
    upstream.behave(behaviour);
    source(&upstream, &config()).picture(&breed("husky"), MIB).await.unwrap_err()
}

#[tokio::test]
async fn fetches_images_of_breeds_and_sub_breeds() {
    let upstream = Upstream::new().await;
    let source = source(&upstream, &config());
    for name in ["husky", "hound", "hound-afghan"] {
        let image = source.picture(&breed(name), MIB).await.unwrap().unwrap();
        assert!(kennel_images::inspect(&image.bytes, 64 << 20).is_ok());
        let url = image.url.unwrap();
        assert!(url.contains(&format!("/images/{name}/")), "{url}");
    }
}

#[tokio::test]
async fn a_base_url_may_end_in_a_slash() {
    let upstream = Upstream::new().await;
    let source = create(&format!("{}/", upstream.url()), &config()).unwrap();
    assert!(source.picture(&breed("husky"), MIB).await.unwrap().is_some());
}

#[tokio::test]
async fn an_unknown_breed_is_none_and_not_an_error() {
    let upstream = Upstream::new().await;
    let source = source(&upstream, &config());
    for name in ["dragon", "husky-foo", "hound-afghan-x"] {
        assert_eq!(source.picture(&breed(name), MIB).await.unwrap(), None, "{name}");
    }
    assert_eq!(upstream.requests(Route::Image), 0);
}

#[tokio::test]
async fn invalid_responses_are_unusable() {
    for behaviour in [
        Behaviour::NotJson,
        Behaviour::UnexpectedJson,
        Behaviour::ImageUrl("not a url".to_owned()),
        Behaviour::ImageUrl("file:///etc/passwd".to_owned()),
        Behaviour::EndlessImage,
        Behaviour::NotAnImage,
        Behaviour::RedirectLoop,
        Behaviour::RedirectTo("ftp://example.com/dog.jpg".to_owned()),
        Behaviour::Status(403, None),
    ] {
        let error = error(behaviour.clone()).await;
        assert!(matches!(error, SourceError::Unusable(_)), "{behaviour:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_image_over_the_limit_is_unusable() {
    let upstream = Upstream::new().await;
    let result = source(&upstream, &config()).picture(&breed("husky"), 100).await;
    assert!(matches!(result, Err(SourceError::Unusable(_))), "{result:?}");
}

#[tokio::test]
async fn a_truncated_image_is_an_error() {
    let error = error(Behaviour::WrongContentLength).await;
    assert!(matches!(error, SourceError::Unavailable { .. } | SourceError::Unusable(_)), "{error:?}");
}

#[tokio::test]
async fn private_addresses_are_rejected_from_every_source() {
    let upstream = Upstream::new().await;
    let strict = source(&upstream, &ClientConfig { allow_private: false, ..config() });
    let result = strict.picture(&breed("husky"), MIB).await;
    assert!(matches!(result, Err(SourceError::Unusable(_))), "{result:?}");
    assert_eq!(upstream.requests(Route::Random), 0);

    // No server listens there: a connection would fail as unavailable.
    let inside = format!("http://127.0.0.2:{}/images/husky/n1.jpg", upstream.address().port());
    let loopback = upstream.address().ip();
    let config = ClientConfig { allow_private: false, allowed_addresses: vec![loopback], ..config() };
    let source = source(&upstream, &config);
    for behaviour in [Behaviour::ImageUrl(inside.clone()), Behaviour::RedirectTo(inside)] {
        upstream.behave(behaviour);
        let result = source.picture(&breed("husky"), MIB).await;
        assert!(matches!(result, Err(SourceError::Unusable(_))), "{result:?}");
    }
    upstream.behave(Behaviour::Normal);
    assert!(source.picture(&breed("husky"), MIB).await.unwrap().is_some());
}

#[tokio::test]
async fn an_api_that_is_down_is_unavailable() {
    for behaviour in [Behaviour::Status(500, None), Behaviour::CloseConnection] {
        let error = error(behaviour.clone()).await;
        assert!(matches!(error, SourceError::Unavailable { .. }), "{behaviour:?}: {error:?}");
    }
    let upstream = Upstream::new().await;
    upstream.stop().await;
    let result = source(&upstream, &config()).picture(&breed("husky"), MIB).await;
    assert!(matches!(result, Err(SourceError::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn a_retry_after_is_passed_on() {
    for status in [429, 503] {
        let error = error(Behaviour::Status(status, Some(120))).await;
        let SourceError::Unavailable { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, Some(Duration::from_mins(2)));
    }
}

#[tokio::test]
async fn the_circuit_breaker_opens_after_failures() {
    let upstream = Upstream::new().await;
    upstream.behave(Behaviour::Status(500, None));
    let config = ClientConfig { breaker_failures: 2, breaker_pause: Duration::from_mins(1), ..config() };
    let source = source(&upstream, &config);
    for _ in 0..3 {
        assert!(source.picture(&breed("husky"), MIB).await.is_err());
    }
    let result = source.picture(&breed("husky"), MIB).await;
    let Err(SourceError::Unavailable { retry_after: Some(wait), .. }) = result else { panic!("{result:?}") };
    assert!(wait <= Duration::from_mins(1));
    assert_eq!(upstream.requests(Route::Random), 2);
}

#[tokio::test]
async fn a_slow_api_times_out() {
    let upstream = Upstream::new().await;
    upstream.behave(Behaviour::Slow(Duration::from_mins(10)));
    let config = ClientConfig { deadline: Duration::from_millis(200), timeout: Duration::from_millis(100), ..config() };
    let result = source(&upstream, &config).picture(&breed("husky"), MIB).await;
    assert!(matches!(result, Err(SourceError::Timeout(_))), "{result:?}");
}

#[tokio::test]
async fn lists_breeds_and_sub_breeds_once_an_hour() {
    let upstream = Upstream::new().await;
    let source = source(&upstream, &config());
    let breeds = source.breeds().await.unwrap();
    assert!(breeds.is_sorted_by(|a, b| a < b));
    for name in ["husky", "hound", "hound-afghan"] {
        assert!(breeds.contains(&breed(name)), "{name}");
    }
    assert_eq!(source.breeds().await.unwrap(), breeds);
    assert_eq!(upstream.requests(Route::Breeds), 1);

    advance(CACHE_TTL).await;
    assert_eq!(source.breeds().await.unwrap(), breeds);
    assert_eq!(upstream.requests(Route::Breeds), 2);
}

#[tokio::test]
async fn an_expired_list_is_served_while_the_api_fails() {
    let upstream = Upstream::new().await;
    let source = source(&upstream, &config());
    upstream.behave(Behaviour::NotJson);
    assert!(matches!(source.breeds().await, Err(SourceError::Unusable(_))));
    upstream.behave(Behaviour::Normal);
    let breeds = source.breeds().await.unwrap();

    upstream.behave(Behaviour::Status(500, None));
    advance(CACHE_TTL).await;
    assert_eq!(source.breeds().await.unwrap(), breeds);
    let requests = upstream.requests(Route::Breeds);
    assert_eq!(source.breeds().await.unwrap(), breeds);
    assert_eq!(upstream.requests(Route::Breeds), requests, "a failing api is not called each time");

    upstream.behave(Behaviour::Normal);
    advance(RETRY_INTERVAL).await;
    assert_eq!(source.breeds().await.unwrap(), breeds);
    assert_eq!(upstream.requests(Route::Breeds), requests + 1);
}

#[tokio::test]
async fn concurrent_callers_share_one_fetch() {
    let upstream = Upstream::new().await;
    let source = source(&upstream, &config());
    let lists = futures_util::future::join_all((0..20).map(|_| source.breeds())).await;
    assert!(lists.iter().all(Result::is_ok));
    assert_eq!(upstream.requests(Route::Breeds), 1);
}

#[test]
fn other_base_urls_are_rejected() {
    for base in ["", "dog.ceo/api", "ftp://dog.ceo/api", "data:,x"] {
        assert!(create(base, &config()).is_err(), "{base}");
    }
}

/// Advances the clock of the source, without waiting.
async fn advance(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time + Duration::from_secs(1)).await;
    tokio::time::resume();
}
