//! Reports of a component that makes no progress.

use kennel_broker::Backend;
use kennel_testkit::Mode;
use serde_json::Value;

use crate::broker::{proxied_broker, with_variables};
use crate::service_dir::{RunningService, ServiceDir, eventually};

async fn check(served: &RunningService, name: &str) -> Value {
    let report = served.sys("/ready").await.expect(200).json();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}")).clone()
}

async fn wait_for_status(served: &RunningService, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), async || {
        let check = check(served, name).await;
        (check["status"] == status).then_some(check)
    })
    .await
}

pub async fn unpublished_events_are_reported_in_readiness_metrics_and_log(broker: Backend) {
    let Some(Some(proxied)) = proxied_broker(broker).await else { return };
    let directory = with_variables(ServiceDir::new(), proxied.proxied());
    let served = directory.serve().await;
    let series = r#"dependency_up{dependency="outbox-relay",kind="progress"}"#;
    wait_for_status(&served, "outbox-relay", "up").await;

    proxied.faults().set(Mode::Drop);
    for name in ["Rex", "Bella"] {
        served.dog(name).await;
    }
    // The service stays ready: `check` expects 200.
    let relay = wait_for_status(&served, "outbox-relay", "down").await;
    let detail = relay["detail"].as_str().unwrap();
    assert!(detail.starts_with("2 events pending, none published for 3"), "{detail}");
    assert_eq!(relay["required"], false);
    assert!(served.metric(series).await < 0.5);
    // The check runs many times, and is logged once.
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        check(&served, "outbox-relay").await;
    }
    let lines = |text: &str| served.process.output().lines().filter(|line| line.contains(text)).count();
    let relay_lines = |text: &str| {
        let output = served.process.output();
        output.lines().filter(|line| line.contains(text) && line.contains("outbox-relay")).count()
    };
    assert_eq!(relay_lines("component makes no progress"), 1);

    proxied.faults().set(Mode::Pass);
    wait_for_status(&served, "outbox-relay", "up").await;
    for name in ["dogs.thumbnailer", "feed"] {
        wait_for_status(&served, name, "up").await;
    }
    assert_eq!(relay_lines("component makes progress again"), 1);
    assert_eq!(
        lines("component makes no progress"),
        lines("component makes progress again"),
        "all components recovered"
    );
    eventually("the metric follows", async || (served.metric(series).await > 0.5).then_some(())).await;
    served.stop().await;
}
