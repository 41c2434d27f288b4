//! The object store is gone for a while.
#![allow(dead_code, clippy::allow_attributes, reason = "whether it is used depends on the features")]

use std::net::SocketAddr;
use std::time::Duration;

use gifs_contracts::MediaStored;
use kennel_testkit::{FaultProxy, Mode, TestBucket, probe};
use tokio::time::{Instant, sleep};

use crate::backends::Variables;
use crate::running::Home;
use crate::upstream::Upstream;

const LIMIT: Duration = Duration::from_mins(1);
/// Attempts that fail during the outage: more than an event has.
const FAILURES: u64 = 12;

/// Events wait while the object store is gone: none becomes a dead letter, and all are handled when it is back.
pub(crate) async fn outage(variables: &Variables) {
    let Some(bucket) = TestBucket::find() else { return };
    let address = bucket.endpoint().trim_start_matches("http://").parse::<SocketAddr>().unwrap();
    let proxy = FaultProxy::new(address).await;
    let mut variables = [variables.as_slice(), &bucket.variables()].concat();
    variables.extend([
        ("S3_STORAGE_ENDPOINT", format!("http://{}", proxy.address())),
        ("CONSUMER_MAX_ATTEMPTS", "2".to_owned()),
    ]);
    let (upstream, home) = (Upstream::start().await, Home::new(&variables));
    let mut catalogue = home.catalogue().await;
    let mut running = home.serve().await;
    catalogue.discover(&[upstream.animation(100)]).await;
    catalogue.answer(LIMIT).await.expect("an answer before the outage");

    proxy.set(Mode::Drop);
    let urls: Vec<_> = (0..6).map(|number| upstream.animation(number)).collect();
    let mut gifs = catalogue.discover(&urls).await;
    let deadline = Instant::now() + LIMIT;
    while retries(running.sys).await < FAILURES {
        assert!(Instant::now() < deadline, "{}", running.process.output());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(home.run(&["dlq", "list"]).await, (Some(0), String::new()), "no event is given up");
    proxy.set(Mode::Pass);
    while !gifs.is_empty() {
        let answer = catalogue.answer(LIMIT).await.expect("an answer after the outage");
        let stored = answer.decode::<MediaStored>().unwrap().expect("it is stored");
        gifs.retain(|gif| *gif != stored.id);
    }
    running.process.terminate();
    assert!(running.process.wait(LIMIT).await.success(), "{}", running.process.output());
    let (code, output) = home.run(&["reconcile", "--grace", "0s"]).await;
    assert!(code == Some(0) && output.contains("7 blobs and 14 objects compared, 0 differences"), "{output}");
}

/// How many attempts have failed.
async fn retries(sys: SocketAddr) -> u64 {
    let metrics = probe::get(sys, "/metrics").await.unwrap();
    let text = String::from_utf8(metrics.body).unwrap();
    let line = text.lines().find(|line| line.starts_with("broker_consumed_total") && line.contains(r#""retry""#));
    line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().unwrap())
}
