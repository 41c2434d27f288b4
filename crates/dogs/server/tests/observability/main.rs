//! The dashboards and alerts against the truth: a real service under load and faults, scraped by a real Prometheus with
//! the repository's own configuration. Every expression has to return data, or be listed with a reason.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod load;
mod prometheus;
mod subject;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::Backend;
use tokio::time::{Instant, sleep};

use load::Load;
use prometheus::Prometheus;
use subject::Subject;

/// The longest that load and faults go on.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_and_alert_shows_data() {
    let Some(binary) = Backend::Prometheus.address() else { return };
    let mut subject = Subject::start().await;
    let prometheus = Prometheus::start(Path::new(&binary), subject.sys).await;
    prometheus.until_up("dogs").await;
    let load = Load::new(&subject).await;
    let began = Instant::now();
    load.first_round(&subject).await;
    // Twice: growth is seen only of a series that was seen before.
    for _ in 0..2 {
        load.locked_round(&subject).await;
        load.round(&subject).await;
    }
    let mut rows = table::rows();
    loop {
        load.round(&subject).await;
        table::ask(&mut rows, &prometheus).await;
        if !rows.iter().any(table::Row::is_unexplained) || began.elapsed() > TEST_TIMEOUT {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let table = table::text(&rows);
    println!("{table}");
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("panels.md"), &table).unwrap();
    let exemplars = table::exemplars(&rows, &prometheus).await;
    let metrics = prometheus::lint(Path::new(&binary), &subject.metrics().await).await;
    subject.stop().await;
    assert_eq!(table::faults(&rows), Vec::<String>::new());
    assert_eq!(metrics, "", "promtool check metrics");
    lead_to_traces(&exemplars, &subject);
}

/// The service has stopped, so all spans that it sends have arrived.
fn lead_to_traces(exemplars: &[(String, BTreeSet<String>)], subject: &Subject) {
    let hex = |id: &[u8]| format!("{:032x}", u128::from_be_bytes(id.try_into().unwrap()));
    let received: BTreeSet<_> = subject.collector.received().spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert!(exemplars.len() > 12, "{exemplars:?}");
    for (panel, traces) in exemplars {
        assert!(!traces.is_empty(), "{panel} leads to no trace");
        let unknown: Vec<_> = traces.difference(&received).collect();
        assert!(unknown.is_empty(), "{panel} leads to traces that were not sent: {unknown:?}");
    }
}
