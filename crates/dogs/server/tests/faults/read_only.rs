//! A database that is temporarily read-only, as after a failover.

use std::time::Duration;

use kennel_testkit::TestDatabase;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::broker::with_variables;
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::TestResponse;

/// How long writes may still fail after the database accepts them again.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_work_again_right_after_a_failover() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let variables = [("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())];
    let directory = with_variables(ServiceDir::new(), &variables);
    let served = directory.serve().await;
    let dog = served.dog("before").await;
    eventually("writes work", async || (write_check(&served).await["status"] == "up").then_some(())).await;

    database.set_read_only(true).await;
    let reason = json!("writes are not accepted");
    let is_reported = async || {
        let check = write_check(&served).await;
        (check["status"] == "down" && check["detail"] == reason).then_some(check)
    };
    assert_eq!(eventually("the check changes", is_reported).await["required"], json!(false));
    eventually("reads are ready", async || (served.get("/ready").await.status == 200).then_some(())).await;
    for _ in 0..5 {
        post(&served).await.expect(503);
        served.get(&format!("/api/v1/dogs/{dog}")).await.expect(200);
    }

    database.set_read_only(false).await;
    let started = Instant::now();
    while post(&served).await.status != 201 {
        assert!(started.elapsed() < RECOVERY_TIMEOUT, "writes fail for longer than {RECOVERY_TIMEOUT:?}");
        sleep(Duration::from_millis(20)).await;
    }
    eventually("the check changes", async || (write_check(&served).await["status"] == "up").then_some(())).await;
    eventually("all events are published", async || (served.metric("outbox_pending").await < 0.5).then_some(())).await;
    let log = served.process.output();
    // Each begin and each end once; on a busy machine a check may also take too long.
    let changes: Vec<_> = log
        .lines()
        .filter(|line| line.contains("storage_write") && line.contains("dependency is "))
        .map(|line| line.contains("dependency is down"))
        .collect();
    assert!(!changes.is_empty() && changes.chunks(2).all(|change| change == [true, false]), "{log}");
    served.stop().await;
}

async fn post(served: &RunningService) -> TestResponse {
    TestResponse::of(served.request("POST", "/api/v1/dogs").json(&json!({ "breed": "husky" }))).await
}

/// The check of writes. On a busy machine another check may take too long, so that the service is not ready.
async fn write_check(served: &RunningService) -> Value {
    let report = served.get("/ready").await.json();
    report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "storage_write").unwrap().clone()
}
