//! The keys of providers appear in no log, span, metric, error, event or row.

use std::time::Duration;

use kennel_proto::gifs::v1::{RandomRequest, TrendingRequest, WatchGifsRequest};
use kennel_testkit::otlp::Collector;

use crate::scripted::{KEY, Mode, Scripted};
use crate::story::{Program, launch, search};

fn variables(server: &Scripted, collector: &Collector) -> Vec<(&'static str, String)> {
    let pairs = [
        ("GIF_PROVIDERS", "giphy,klipy"),
        ("GIF_PROVIDER_ALLOW_PRIVATE", "true"),
        ("GIF_PROVIDER_TIMEOUT", "500ms"),
        ("GIPHY_API_KEY", KEY),
        ("KLIPY_API_KEY", KEY),
        ("GIPHY_STORE_MEDIA", "true"),
        ("LOG_LEVEL", "trace"),
        ("LOG_FORMAT", "json"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "20"),
    ];
    let mut variables: Vec<_> = pairs.map(|(name, value)| (name, value.to_owned())).into();
    variables.extend([
        ("GIPHY_API_BASE_URL", server.base("giphy")),
        ("KLIPY_API_BASE_URL", server.base("klipy")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
    ]);
    variables
}

/// Asks both providers while they answer in this way, and returns everything that anyone can see of it.
async fn seen(server: &Scripted, mode: Mode) -> String {
    let collector = Collector::start().await;
    let mut program = Program::start(&variables(server, &collector)).await;
    server.set(mode);
    let mut seen = Vec::new();
    for query in ["cat", "dog"] {
        seen.push(format!("{:?}", program.client.search(search(query)).await));
    }
    seen.push(format!("{:?}", program.client.trending(TrendingRequest::default()).await));
    seen.push(format!("{:?}", program.client.random(RandomRequest::default()).await));
    let mut events = program.client.watch_gifs(WatchGifsRequest::default()).await.unwrap().into_inner();
    seen.push(format!("{:?}", events.message().await));
    collector
        .until("a request is traced", |spans| spans.iter().find(|span| span.name.contains("Search")).cloned())
        .await;
    seen.push(program.metrics().await);
    let folder = program.folder.path().to_owned();
    let mut files = vec![folder.clone()];
    // Rows and events, and what is next to them.
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            seen.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    let mut print = launch(&program.folder, &["config", "print"], &variables(server, &collector));
    print.wait(Duration::from_secs(20)).await;
    seen.push(print.output());
    seen.push(program.stop().await);
    let telemetry = collector.received();
    assert!(
        telemetry.spans.iter().any(|span| span.attributes.iter().any(|pair| pair.key == "upstream")),
        "providers are traced"
    );
    seen.push(format!("{:?} {:?}", telemetry.spans, telemetry.lines));
    seen.join("\n")
}

/// Fails if the key is in what can be seen while the providers answer in this way.
async fn shows_no_key(server: &Scripted, mode: Mode) {
    let shown = seen(server, mode.clone()).await;
    assert!(shown.contains("gif_provider_requests_total") && shown.contains("giphy_api_key"), "{mode:?}: {shown}");
    let line = shown.lines().find(|line| line.contains(KEY));
    assert_eq!(line, None, "{mode:?}");
}

#[tokio::test]
async fn keys_are_shown_nowhere() {
    let body =
        r#"{"result": false, "errors": {"message": ["invalid key $KEY"]}, "meta": {"msg": "$KEY"}, "data": "$KEY"}"#;
    let answer = |status| Mode::Answer(status, None, body.to_owned());
    let mut server = Scripted::start().await;
    let redirect = Mode::Redirect(format!("{}?api_key={KEY}", server.base(KEY)));
    let slow = Mode::Slow(Duration::from_secs(5));
    let other_items = [Mode::Advertisements, Mode::Untidy, Mode::Echoing, Mode::Empty, Mode::Cut];
    for mode in [vec![Mode::Items, redirect, slow], other_items.to_vec()].concat() {
        shows_no_key(&server, mode).await;
    }
    for status in [200, 404, 429, 500] {
        shows_no_key(&server, answer(status)).await;
    }
    server.stop().await;
    shows_no_key(&server, Mode::Items).await;
    // It was used.
    let requests = server.requests();
    assert!(requests.iter().any(|url| url.query().is_some_and(|query| query.contains(KEY))));
    assert!(requests.iter().any(|url| url.path().contains(KEY)));
}
