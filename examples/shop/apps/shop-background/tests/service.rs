//! The program with its default store and the in-process broker, as clients use it.

use std::path::Path;
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROMETHEUS_PORT", "0")];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop-background"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}
