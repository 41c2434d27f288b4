//! What the health registry reports, and how often it runs checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use kennel_app::{Check, Component, Health, Kind, Progress, Report, Status, Stop};
use kennel_core::BoxError;
use tokio::time::{Instant, advance, sleep, timeout};

#[derive(Default)]
struct Probe {
    down: AtomicBool,
    asked: AtomicUsize,
    answered: AtomicUsize,
    takes: Duration,
}

impl Probe {
    fn taking(takes: Duration) -> Arc<Self> {
        Arc::new(Self { takes, ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    fn fail(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

#[async_trait]
impl Check for Probe {
    async fn check(&self) -> Result<(), BoxError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        sleep(self.takes).await;
        self.answered.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) { Err("password=hunter2".into()) } else { Ok(()) }
    }
}

struct Panics;

#[async_trait]
impl Check for Panics {
    async fn check(&self) -> Result<(), BoxError> {
        panic!("no luck")
    }
}

fn states(report: &Report) -> Vec<(&str, Status)> {
    report.checks.iter().map(|check| (&*check.name, check.status)).collect()
}

#[tokio::test(start_paused = true)]
async fn runs_checks_concurrently_with_timeouts() {
    let health = Health::new();
    health.register("database", Probe::taking(Duration::from_millis(30)));
    health.register_with_timeout("broker", Probe::taking(Duration::from_mins(1)), Duration::from_millis(50));
    health.open().await;
    let report = health.report().await;
    assert_eq!(states(&report), [("database", Status::Up), ("broker", Status::Down)]);
    assert_eq!((report.checks[0].latency_ms, report.checks[1].latency_ms), (30, 50));
    assert!(!report.ready);
}

#[tokio::test(start_paused = true)]
async fn reports_show_no_error_text() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::ZERO));
    probe.fail(true);
    health.register("database", probe);
    let body = serde_json::to_string(&health.report().await).unwrap();
    assert_eq!(
        body,
        r#"{"ready":false,"checks":[{"name":"database","status":"down","required":true,"latency_ms":0}]}"#
    );
}

#[tokio::test(start_paused = true)]
async fn an_observed_dependency_does_not_affect_readiness() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::ZERO));
    probe.fail(true);
    health.register("database", Probe::taking(Duration::ZERO));
    health.observe("cache", Arc::<Probe>::clone(&probe));
    health.open().await;
    let report = health.report().await;
    assert_eq!(states(&report), [("database", Status::Up), ("cache", Status::Down)]);
    assert!(report.ready && *health.ready().borrow());
    assert!(report.checks[0].required && !report.checks[1].required);
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_check() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::from_millis(500)));
    health.register("database", Arc::<Probe>::clone(&probe));
    join_all((0..100).map(|_| health.report())).await;
    advance(Duration::from_millis(900)).await;
    health.report().await;
    assert_eq!(probe.asked(), 1);
    advance(Duration::from_millis(200)).await;
    health.report().await;
    assert_eq!(probe.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn cancelled_callers_do_not_start_the_checks_again() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::from_millis(500)));
    health.register("database", Arc::<Probe>::clone(&probe));
    for _ in 0..10 {
        assert!(timeout(Duration::from_millis(10), health.report()).await.is_err());
    }
    assert_eq!(states(&health.report().await), [("database", Status::Up)]);
    assert_eq!(probe.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_ends_even_if_nobody_waits_for_it() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::from_millis(500)));
    health.register("database", Arc::<Probe>::clone(&probe));
    assert!(timeout(Duration::from_millis(10), health.report()).await.is_err());
    assert_eq!(probe.answered(), 0);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(probe.answered(), 1);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(states(&health.report().await), [("database", Status::Up)]);
    assert_eq!(probe.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_running_checks() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::from_millis(500)));
    health.register("database", Arc::<Probe>::clone(&probe));
    let stop = Stop::new();
    let asked = async {
        while probe.asked() == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        stop.request();
    };
    let (ran, ()) = tokio::join!(Box::new(health.readiness()).run(stop.clone()), asked);
    ran.unwrap();
    assert_eq!((probe.asked(), probe.answered()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_is_down() {
    let health = Health::new();
    health.register("database", Arc::new(Panics));
    assert_eq!(states(&health.report().await), [("database", Status::Down)]);
}

#[tokio::test(start_paused = true)]
async fn is_ready_only_while_open() {
    let health = Health::new();
    assert!(!health.report().await.ready);
    health.open().await;
    assert!(health.report().await.ready && *health.ready().borrow());
    health.close();
    assert!(!health.report().await.ready && !*health.ready().borrow());
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_a_dependency_without_requests_for_reports() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::ZERO));
    health.register("database", Arc::<Probe>::clone(&probe));
    health.open().await;
    let (stop, mut ready) = (Stop::new(), health.ready());
    assert!(*ready.borrow_and_update());
    let watch = async {
        for down in [true, false] {
            probe.fail(down);
            let changed = Instant::now();
            ready.changed().await.unwrap();
            assert_eq!(*ready.borrow_and_update(), !down);
            assert!(changed.elapsed() <= Duration::from_secs(6), "{:?}", changed.elapsed());
        }
        stop.request();
    };
    let (ran, ()) = tokio::join!(Box::new(health.readiness()).run(stop.clone()), watch);
    ran.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dependency_added_later_counts_immediately() {
    let (health, probe) = (Health::new(), Probe::taking(Duration::ZERO));
    health.open().await;
    probe.fail(true);
    health.register("database", probe);
    assert!(!health.report().await.ready);
    assert!(!*health.ready().borrow());
}

#[tokio::test(start_paused = true)]
async fn a_component_without_progress_is_reported_and_does_not_affect_readiness() {
    let (health, progress) = (Health::new(), Progress::new(Duration::from_secs(30)));
    health.register("database", Probe::taking(Duration::ZERO));
    health.progress("relay", progress.clone());
    health.open().await;
    progress.stalled("2 events pending, none published");
    sleep(Duration::from_secs(20)).await;
    progress.stalled("12 events pending, none published");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(states(&health.report().await)[1], ("relay", Status::Up), "not for longer than its limit");
    sleep(Duration::from_secs(4)).await;
    let report = health.report().await;
    assert!(report.ready && *health.ready().borrow());
    assert_eq!(
        serde_json::to_value(&report.checks[1]).unwrap(),
        serde_json::json!({
            "name": "relay", "status": "down", "required": false, "latency_ms": 0,
            "detail": "12 events pending, none published for 34 s",
        })
    );
    let known: Vec<_> = health.known().into_iter().map(|(_, kind, status)| (kind, status)).collect();
    assert_eq!(known, [(Kind::Required, Status::Up), (Kind::Progress, Status::Down)]);
    progress.advanced();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(states(&health.report().await)[1], ("relay", Status::Up));
    progress.stalled("12 events pending, none published");
    sleep(Duration::from_secs(29)).await;
    assert_eq!(states(&health.report().await)[1], ("relay", Status::Up), "it counts from the last progress");
}
