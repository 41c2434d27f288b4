//! The variables of the OpenTelemetry specification, as a cluster sets them for all of its services.

use kennel_testkit::Collector;
use kennel_testkit::otlp::{KeyValue, Telemetry};

use crate::service_dir::{ServiceDir, eventually};

/// A service that exports telemetry immediately.
fn service_dir(variables: &[(&str, &str)]) -> ServiceDir {
    let directory = ServiceDir::new().set("OTEL_BSP_SCHEDULE_DELAY", "20").set("OTEL_BLRP_SCHEDULE_DELAY", "20");
    variables.iter().fold(directory, |directory, (name, value)| directory.set(name, value))
}

/// Serves one request and stops, so that all telemetry is exported. Returns the output of the service.
async fn one_request(directory: &ServiceDir) -> String {
    let mut served = directory.serve().await;
    served.get("/api/v1/dogs").await.expect(200);
    served.process.terminate();
    let ended = served.process.wait(crate::support::TEST_TIMEOUT).await;
    assert_eq!(ended.code(), Some(0), "{}", served.process.output());
    served.process.output()
}

async fn sent(collector: &Collector, variables: &[(&str, &str)]) -> (Telemetry, String) {
    let output = one_request(&service_dir(variables)).await;
    (collector.received(), output)
}

fn has_request(telemetry: &Telemetry) -> bool {
    telemetry.spans.iter().any(|span| span.name == "GET /api/v1/dogs")
}

fn warnings(output: &str) -> Vec<&str> {
    output.lines().filter(|line| line.contains("setting is ignored")).collect()
}

fn named(resources: &[Vec<KeyValue>], name: &str) -> bool {
    let wanted = format!("{name:?}");
    let is_name = |pair: &KeyValue| pair.key == "service.name" && format!("{:?}", pair.value).contains(&wanted);
    !resources.is_empty() && resources.iter().all(|resource| resource.iter().any(is_name))
}

#[tokio::test]
async fn both_protocols_reach_the_collector_with_headers_and_compression() {
    for (protocol, kind) in [("grpc", "application/grpc"), ("http/protobuf", "application/x-protobuf")] {
        let collector = Collector::start().await;
        let endpoint = if protocol == "grpc" { collector.endpoint() } else { collector.http_endpoint() };
        let (telemetry, output) = sent(
            &collector,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ],
        )
        .await;
        assert!(has_request(&telemetry), "{protocol}: {output}");
        assert!(!telemetry.lines.is_empty(), "{protocol}: {output}");
        assert!(named(&telemetry.resources, "dogs"), "{protocol}: {:?}", telemetry.resources);
        for headers in &telemetry.headers {
            assert_eq!(
                (&headers["authorization"], &headers["content-type"]),
                (&"Bearer hunter2".parse().unwrap(), &kind.parse().unwrap())
            );
            let encoding = headers.get("grpc-encoding").or_else(|| headers.get("content-encoding"));
            assert_eq!(encoding.unwrap(), "gzip", "{protocol}");
        }
        assert_eq!(warnings(&output), Vec::<&str>::new());
        assert!(!output.contains("hunter2"), "{output}");
    }
}

#[tokio::test]
async fn each_signal_has_its_own_endpoint_or_none() {
    let (spans, lines) = (Collector::start().await, Collector::start().await);
    let path = format!("{}/v1/logs", lines.http_endpoint());
    let (telemetry, output) = sent(
        &spans,
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &spans.endpoint()),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &path),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ],
    )
    .await;
    assert!(has_request(&telemetry) && telemetry.lines.is_empty(), "{output}");
    assert!(lines.received().spans.is_empty() && !lines.received().lines.is_empty(), "{output}");

    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let (telemetry, _) =
        sent(&collector, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_TRACES_EXPORTER", "none")]).await;
    assert!(telemetry.spans.is_empty() && !telemetry.lines.is_empty());
}

#[tokio::test]
async fn a_disabled_sdk_exports_nothing() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "xray"),
    ];
    let (telemetry, output) = sent(&collector, &variables).await;
    assert!(telemetry.spans.is_empty() && telemetry.lines.is_empty(), "{telemetry:?}");
    assert_eq!(warnings(&output), Vec::<&str>::new());
}

#[tokio::test]
async fn unsupported_values_are_reported_once_and_the_service_runs() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let (telemetry, output) = sent(
        &collector,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://localhost:2000"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
            ("OTEL_NODE_RESOURCE_DETECTORS", "env"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=kennel,deployment.environment.name=test"),
        ],
    )
    .await;
    assert!(has_request(&telemetry), "{output}");
    assert!(named(&telemetry.resources, "kennel"), "{:?}", telemetry.resources);
    let warned = warnings(&output);
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned.iter().any(|line| line.contains("OTEL_TRACES_SAMPLER (environment)") && line.contains("xray")));
    let both = "OTEL_EXPORTER_OTLP_CERTIFICATE (environment), OTEL_NODE_RESOURCE_DETECTORS (environment)";
    assert!(warned.iter().any(|line| line.contains(both)), "{warned:?}");
}

#[tokio::test]
async fn the_sampler_decides_which_traces_are_exported() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let off = service_dir(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_TRACES_SAMPLER", "always_off")]);
    one_request(&off).await;
    assert_eq!(collector.received().spans.len(), 0);

    // `always_on` also samples a trace whose parent is not sampled.
    let on = service_dir(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_TRACES_SAMPLER", "always_on")]);
    let served = on.serve().await;
    let not_sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let request = served.request("GET", "/api/v1/dogs").header("traceparent", not_sampled);
    assert_eq!(request.send().await.unwrap().status(), 200);
    collector
        .until("the span of the request", |spans| {
            let trace = u128::from_str_radix("0af7651916cd43dd8448eb211c80319c", 16).unwrap().to_be_bytes();
            spans.iter().any(|span| span.trace_id == trace).then_some(())
        })
        .await;
    served.stop().await;
}

/// A pod of a cluster that has services called `grpc`, `prometheus` and `server`.
#[tokio::test]
async fn service_links_of_kubernetes_are_ignored() {
    let directory = ServiceDir::new();
    // The ports of the test are in `.env`, the layer below the environment.
    directory.write(".env", "GRPC_PORT=0\nPROMETHEUS_PORT=0\nSERVER_PORT=0\n");
    let directory = ["GRPC", "PROMETHEUS", "SERVER"].iter().fold(directory, |directory, name| {
        directory
            .set(&format!("{name}_PORT"), "tcp://10.0.0.1:9090")
            .set(&format!("{name}_SERVICE_HOST"), "10.0.0.1")
            .set(&format!("{name}_SERVICE_PORT"), "9090")
            .set(&format!("{name}_PORT_9090_TCP"), "tcp://10.0.0.1:9090")
    });
    let served = directory.serve().await;
    served.get("/api/v1/dogs").await.expect(200);
    let output = eventually("a warning", async || {
        let output = served.process.output();
        (!warnings(&output).is_empty()).then_some(output)
    })
    .await;
    let warned = warnings(&output);
    assert_eq!(warned.len(), 1, "{warned:?}");
    for text in ["GRPC_PORT (environment)", "PROMETHEUS_PORT", "SERVER_PORT", "enableServiceLinks: false"] {
        assert!(warned[0].contains(text), "{text} in {warned:?}");
    }
    served.stop().await;
    let checked = directory.run(&["config", "check"]).await.ends(0);
    assert!(checked.stderr.starts_with("warning: ") && checked.stderr.contains("enableServiceLinks"), "{checked:?}");
}
