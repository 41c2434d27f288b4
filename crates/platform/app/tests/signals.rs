//! Real signals, in a process of their own: one test, because handlers are shared by the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{App, Component, RunError, ShutdownConfig, Stop, signals};
use kennel_config::HumanDuration;
use kennel_core::BoxError;

/// Signals its own process when it runs and again at the stop request, which it ignores.
struct Stubborn;

#[async_trait]
impl Component for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        signal("-TERM");
        stop.requested().await;
        signal("-INT");
        std::future::pending().await
    }
}

fn signal(which: &str) {
    let own = std::process::id().to_string();
    assert!(Command::new("kill").args([which, &own]).status().unwrap().success());
}

#[tokio::test]
async fn the_first_signal_stops_and_the_second_aborts() {
    let options = ShutdownConfig { shutdown_deadline: HumanDuration::from_mins(10), ..ShutdownConfig::default() };
    let app = App::new(options).component(Stubborn);
    let ended = tokio::time::timeout(Duration::from_mins(1), app.run(signals().unwrap()));
    assert!(matches!(ended.await.unwrap(), Err(RunError::Aborted)));
}
