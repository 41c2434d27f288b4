//! Operator routes and the OpenAPI pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{self, Server, get_text, problem};
use axum::Router;
use kennel_app::{Check, Health, Progress};
use kennel_core::BoxError;
use kennel_http::sys::{self, Sys};
use kennel_http::{HttpConfig, openapi};
use kennel_telemetry::metrics::{self, BuildInfo};
use serde_json::{Value, json};
use utoipa::OpenApi;

struct SwitchCheck(Arc<AtomicBool>);

#[async_trait::async_trait]
impl Check for SwitchCheck {
    async fn check(&self) -> Result<(), BoxError> {
        if self.0.load(Ordering::SeqCst) { Ok(()) } else { Err("password=hunter2".into()) }
    }
}

async fn sys_server(health: &Health) -> Server {
    let registry = metrics::registry();
    let build = BuildInfo { service: "dogs", version: "1.2.3", git_sha: None };
    metrics::register_build(&registry, &build).unwrap();
    sys::register_dependencies(&registry, health).unwrap();
    let router = sys::router(Sys { health: health.clone(), registries: vec![registry], build });
    Server::start(router, &harness::config()).await
}

#[tokio::test]
async fn readiness_follows_the_dependencies() {
    let (up, health) = (Arc::new(AtomicBool::new(false)), Health::new());
    health.register("database", Arc::new(SwitchCheck(Arc::clone(&up))));
    health.open().await;
    let server = sys_server(&health).await;
    let response = harness::client().get(server.url("/ready")).send().await.unwrap();
    assert_eq!(response.status(), 503);
    let report: Value = response.json().await.unwrap();
    assert_eq!((&report["ready"], &report["checks"][0]["name"]), (&json!(false), &json!("database")));
    assert_eq!(report["checks"][0]["status"], "down");
    assert!(!report.to_string().contains("hunter2"), "{report}");
    assert!(get_text(harness::client().get(server.url("/live"))).await.contains("live"));
    server.stop().await;
}

#[tokio::test]
async fn every_dependency_is_a_metric_and_progress_does_not_affect_readiness() {
    let (up, health) = (Arc::new(AtomicBool::new(false)), Health::new());
    let server = sys_server(&health).await;
    let progress = Progress::new(Duration::ZERO);
    health.register("database", Arc::new(SwitchCheck(Arc::new(AtomicBool::new(true)))));
    health.observe("cache", Arc::new(SwitchCheck(Arc::clone(&up))));
    health.progress("relay", progress.clone());
    progress.stalled("no event was published");
    health.open().await;
    let report: Value = serde_json::from_str(&get_text(harness::client().get(server.url("/ready"))).await).unwrap();
    assert_eq!(
        (&report["ready"], &report["checks"][2]["detail"]),
        (&json!(true), &json!("no event was published for 0 s"))
    );
    let text = get_text(harness::client().get(server.url("/metrics"))).await;
    for line in [
        r#"dependency_up{dependency="database",kind="required"} 1"#,
        r#"dependency_up{dependency="cache",kind="observed"} 0"#,
        r#"dependency_up{dependency="relay",kind="progress"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_ready_process_reports_ready() {
    let health = Health::new();
    health.open().await;
    let server = sys_server(&health).await;
    assert!(get_text(harness::client().get(server.url("/ready"))).await.contains(r#""ready":true"#));
    health.close();
    assert_eq!(harness::client().get(server.url("/ready")).send().await.unwrap().status(), 503);
    server.stop().await;
}

#[tokio::test]
async fn metrics_and_version_are_served() {
    let server = sys_server(&Health::new()).await;
    let client = harness::client();
    let text = get_text(client.get(server.url("/metrics"))).await;
    assert!(text.contains("build_info{") && text.contains("version=\"1.2.3\""), "{text}");
    let version: Value = serde_json::from_str(&get_text(client.get(server.url("/version"))).await).unwrap();
    assert_eq!(version, json!({ "service": "dogs", "version": "1.2.3" }));
    let (parts, _) = problem(client.get(server.url("/nothing"))).await;
    assert_eq!(parts.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_accepts() {
    let server = sys_server(&Health::new()).await;
    let scrape = async |accept: Option<&str>| {
        let request = harness::client().get(server.url("/metrics"));
        let request = accept.into_iter().fold(request, |request, accept| request.header("accept", accept));
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["vary"]), (200, &"accept".parse().unwrap()));
        let format = response.headers()["content-type"].to_str().unwrap().to_owned();
        (format, response.text().await.unwrap())
    };
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let (format, text) = scrape(Some(prometheus)).await;
    assert_eq!(format, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.ends_with("\n# EOF\n") && text.contains("# TYPE process_cpu_seconds counter"), "{text}");
    for accept in [None, Some("*/*"), Some("text/html"), Some("\u{e9}")] {
        let (format, text) = scrape(accept).await;
        assert_eq!(format, "text/plain; version=0.0.4; charset=utf-8");
        assert!(!text.contains("# EOF") && text.contains("# TYPE process_cpu_seconds_total counter"), "{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_profile_has_limits() {
    let server = sys_server(&Health::new()).await;
    let client = harness::client();
    for query in ["seconds=0", "seconds=61", "seconds=x", "minutes=1"] {
        let (parts, body) = problem(client.get(server.url(&format!("/debug/pprof/profile?{query}")))).await;
        assert_eq!(parts.status, 422, "{query}: {body}");
    }
    server.stop().await;
}

#[cfg(not(feature = "pprof"))]
#[tokio::test]
async fn a_profile_that_is_not_compiled_in_is_not_implemented() {
    let server = sys_server(&Health::new()).await;
    let (parts, _) = problem(harness::client().get(server.url("/debug/pprof/profile?seconds=1"))).await;
    assert_eq!(parts.status, 501);
    server.stop().await;
}

/// Uses CPU time until `stop` is set.
#[cfg(feature = "pprof")]
#[inline(never)]
fn keep_busy(stop: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        sum = (0..10_000_u64).fold(sum, |sum, next| sum.rotate_left(5) ^ std::hint::black_box(next));
    }
    sum
}

/// The function names of each stack, innermost first.
#[cfg(feature = "pprof")]
fn stacks(profile: &[u8]) -> Vec<Vec<String>> {
    use pprof::protos::{Message as _, Profile};

    let profile = Profile::decode(profile).unwrap();
    let name = |id: &u64| {
        let location = profile.location.iter().find(|location| location.id == *id).unwrap();
        let function = profile.function.iter().find(|function| function.id == location.line[0].function_id).unwrap();
        profile.string_table[usize::try_from(function.name).unwrap()].clone()
    };
    profile.sample.iter().map(|sample| sample.location_id.iter().map(name).collect()).collect()
}

#[cfg(feature = "pprof")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_recorded_one_at_a_time_and_have_complete_stacks() {
    let server = sys_server(&Health::new()).await;
    let profile = || harness::client().get(server.url("/debug/pprof/profile?seconds=1")).send();
    let (first, second) = tokio::join!(profile(), profile());
    let mut statuses = [first.unwrap().status().as_u16(), second.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);

    let stop = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || keep_busy(&stop)
    });
    let is_complete = |stack: &Vec<String>| {
        let busy = stack.iter().position(|name| name.contains("keep_busy"));
        busy.is_some_and(|busy| stack[busy..].iter().any(|name| name.contains("spawn")))
    };
    // A second is short: on a busy machine, the thread may get none of it, or the profiler spends it on reading the unwind tables.
    let mut last = Vec::new();
    for _ in 0..20 {
        last = stacks(&profile().await.unwrap().bytes().await.unwrap());
        if last.iter().any(is_complete) {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    assert!(last.iter().any(is_complete), "{last:#?}");
    server.stop().await;
}

#[derive(OpenApi)]
#[openapi(info(title = "Dogs", version = "1.2.3"))]
struct Api;

async fn api_server() -> Server {
    let config = HttpConfig { ..harness::config() };
    let router = Router::new().merge(openapi::routes(&Api::openapi()).unwrap());
    Server::stacked(router, &config).await
}

#[tokio::test]
async fn the_description_and_its_page_are_served() {
    let server = api_server().await;
    let client = harness::client();
    let description: Value = serde_json::from_str(&get_text(client.get(server.url("/openapi.json"))).await).unwrap();
    assert_eq!(description["info"]["title"], "Dogs");
    for path in ["/documentation", "/documentation/", "/swagger", "/swagger/"] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.url().path()), (200, "/documentation/"), "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("script-src 'self'"), "{policy}");
        let page = response.text().await.unwrap();
        assert!(page.contains("swagger-ui-bundle.js") && !page.contains("<script>"), "{page}");
    }
    let initializer = get_text(client.get(server.url("/documentation/swagger-initializer.js"))).await;
    assert!(initializer.contains("\"../openapi.json\""), "{initializer}");
    server.stop().await;
}

#[tokio::test]
async fn redirects_to_the_page_retain_a_prefix() {
    let server = api_server().await;
    let client = harness::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in ["/documentation", "/swagger", "/swagger/"] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 308, "{path}");
        let target = response.headers()["location"].to_str().unwrap().to_owned();
        let seen = url::Url::parse(&format!("https://kennel.example/prefix{path}")).unwrap().join(&target).unwrap();
        assert_eq!(seen.as_str(), "https://kennel.example/prefix/documentation/", "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_missing_asset_is_a_problem() {
    let server = api_server().await;
    for path in ["/documentation/none.js", "/documentation/../../etc/passwd", "/documentation/%2e%2e/Cargo.toml"] {
        let (parts, _) = problem(harness::client().get(server.url(path))).await;
        assert_eq!(parts.status, 404, "{path}");
    }
    server.stop().await;
}
