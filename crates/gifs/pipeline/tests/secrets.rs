//! The key of a provider appears in nothing that the pipeline shows or stores, whatever the provider returns.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../storage/tests/providers/scripted.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "each test program needs a part of it")]
mod scripted;
mod support;

use kennel_testkit::otlp::Collector;
use kennel_testkit::probe::Response;

use scripted::{KEY, Mode, Scripted};
use support::{Variables, get, stop};

fn variables(provider: &Scripted, collector: &Collector) -> Variables {
    Variables::new()
        .and("GIF_PROVIDERS", "giphy,klipy")
        .and("GIF_PROVIDER_ALLOW_PRIVATE", "true")
        .and("GIPHY_API_BASE_URL", &provider.base("giphy"))
        .and("GIPHY_API_KEY", KEY)
        .and("GIPHY_STORE_MEDIA", "true")
        .and("KLIPY_API_BASE_URL", &provider.base("klipy"))
        .and("KLIPY_API_KEY", KEY)
        .and("KLIPY_STORE_MEDIA", "true")
        .and("LOG_LEVEL", "trace")
        .and("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .and("OTEL_BSP_SCHEDULE_DELAY", "20")
        .and("OTEL_BLRP_SCHEDULE_DELAY", "20")
}

fn shown(response: &Response) -> String {
    format!("{}\n{}", response.head, String::from_utf8_lossy(&response.body))
}

/// Everything that can be seen of a pipeline whose providers answer in this way.
async fn seen(provider: &Scripted, mode: Mode) -> String {
    provider.set(mode);
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut process = variables(provider, &collector).start(&folder, &["serve"]);
    let http = process.listener("gif-api.http").await;
    let sys = process.listener("sys").await;
    process.ready(http, "/api/v1/requests").await;
    // The channel of gif-api is connected when a call is answered, with whatever.
    process.shows(http, "/api/v1/gifs/random", "{").await;
    let mut seen = Vec::new();
    for path in
        ["gifs/search?q=cat", "gifs/search?q=cat", "gifs/search?q=dog", "gifs/trending", "gifs/random", "requests"]
    {
        seen.push(shown(&get(http, &format!("/api/v1/{path}"), &[]).await));
    }
    collector
        .until("a request to a provider is traced", |spans| {
            let is_upstream = |pair: &kennel_testkit::otlp::KeyValue| pair.key == "upstream";
            spans.iter().any(|span| span.attributes.iter().any(is_upstream)).then_some(())
        })
        .await;
    seen.push(shown(&get(sys, "/metrics", &[]).await));
    let output = process.output();
    stop(process).await;
    // Rows, events that are to be published, and objects.
    let mut files = vec![folder.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            seen.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    let telemetry = collector.received();
    seen.extend([output, format!("{:?} {:?}", telemetry.spans, telemetry.lines)]);
    seen.join("\n")
}

#[tokio::test]
async fn the_keys_of_providers_are_shown_nowhere() {
    let provider = Scripted::start().await;
    let body = r#"{"message": "$KEY", "meta": {"msg": "$KEY"}, "errors": {"message": ["invalid key $KEY"]}}"#;
    for mode in [Mode::Echoing, Mode::Answer(404, None, body.to_owned()), Mode::Cut] {
        let is_found = matches!(mode, Mode::Echoing);
        let seen = seen(&provider, mode.clone()).await;
        assert_eq!(seen.lines().find(|line| line.contains(KEY)), None, "{mode:?}");
        assert!(seen.contains("gif_provider_requests_total"), "{mode:?}");
        assert_eq!(seen.contains("gifs.discovered"), is_found, "events were looked at: {mode:?}");
        assert_eq!(seen.contains("Cat redacted"), is_found, "{mode:?}");
    }
    let requests = provider.requests();
    assert!(requests.iter().any(|url| url.query().is_some_and(|query| query.contains(KEY))), "in a query");
    assert!(requests.iter().any(|url| url.path().contains(KEY)), "in a path");
}
