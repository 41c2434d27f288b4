//! Spans and log lines reach a collector over real gRPC before `shutdown` returns. One test: a process has one
//! subscriber.

use kennel_telemetry::{InitError, LogTarget, OtelConfig, Process, TelemetryConfig};
use kennel_testkit::Collector;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_lines_are_flushed_to_the_collector() {
    let collector = Collector::start().await;
    let otel = OtelConfig { otel_exporter_otlp_endpoint: Some(collector.endpoint()), ..OtelConfig::default() };
    let config = TelemetryConfig { log_level: "warn".to_owned(), ..TelemetryConfig::default() };
    let process = Process { name: "kennel-test", log_target: LogTarget::Stderr, ..Process::default() };

    let telemetry = kennel_telemetry::init(&config, &otel, &process).unwrap();
    let again = kennel_telemetry::init(&config, &otel, &process);
    assert!(matches!(again, Err(InitError::AlreadyInitialized(_))));
    let error = std::io::Error::other("disk on fire");
    tracing::info_span!("work", http.route = "/dogs").in_scope(|| {
        tracing::info!("busy");
        tracing::warn!(error = &error as &dyn std::error::Error, attempts = 3, "not done");
    });
    tracing::info_span!(target: kennel_telemetry::UNTRACED, "probe").in_scope(|| {});
    tracing::debug_span!("detail").in_scope(|| {});
    telemetry.shutdown().await;

    let received = collector.received();
    for resource in &received.resources {
        let name = resource.iter().find(|pair| pair.key == "service.name");
        assert!(format!("{name:?}").contains("kennel-test"), "{resource:?}");
    }
    let (spans, lines) = (&received.spans, &received.lines);
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["work"]);
    assert!(spans[0].attributes.iter().any(|pair| pair.key == "http.route"), "{:?}", spans[0]);

    assert_eq!(lines.len(), 1, "the level filter also applies here: {lines:?}");
    assert_eq!((lines[0].severity_text.as_str(), lines[0].severity_number), ("WARN", 13));
    assert_eq!((&lines[0].trace_id, &lines[0].span_id), (&spans[0].trace_id, &spans[0].span_id));
    let body = format!("{:?}", lines[0].body);
    for part in ["not done", "disk on fire", "attempts", "/dogs"] {
        assert!(body.contains(part), "{part} in {body}");
    }
}
