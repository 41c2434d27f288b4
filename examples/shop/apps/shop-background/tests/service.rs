//! The program with its default store and the in-process broker, as clients use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kennel_core::{SystemClock, TaskQueue as Tasks, UuidV7};
use kennel_storage::StorageConfig;
use kennel_testkit::process::{Launch, ServiceProcess};
use shop_domain::mailer::MailerQueue;

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROMETHEUS_PORT", "0")];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop-background"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    tasks(&mut process, folder.path()).await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// Adds tasks as another program with this database does, and waits until they were run.
async fn tasks(process: &mut ServiceProcess, folder: &Path) {
    let config = StorageConfig::sqlite(folder.join("data/shop-background.db"));
    let (migrations, registry) = (shop_storages::MIGRATIONS, prometheus::Registry::new());
    let database = kennel_storage::open(&config, "shop-background", &migrations, &registry).await.unwrap();
    let outbox = Arc::clone(&database.outbox);
    let queue = Tasks::new(outbox, Arc::new(SystemClock), Arc::new(UuidV7), "/test", || None);
    let task = shop_domain::mailer::SendReceiptTask {
        order_id: "text".to_owned(),
        address: "text".to_owned(),
        cents: 1,
        lines: vec!["text".to_owned()],
    };
    MailerQueue(queue.clone()).send_receipt(&task).await.unwrap();
    process.prints("shop.mailer.send-receipt").await;
    database.close().await;
}
