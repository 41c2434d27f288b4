//! Tests the dashboards and alerts with a real service under load and faults, scraped by a real Prometheus with the
//! configuration of the repository. Every expression must return data, or be listed with a reason.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod load;
mod subject;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::Backend;
use kennel_testkit::prometheus::{self, Prometheus};
use tokio::time::{Instant, sleep};

use load::Load;
use subject::Subject;

/// The maximum duration of load and faults.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_and_alert_shows_data() {
    let Some(binary) = Backend::Prometheus.address() else { return };
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../infra/prometheus");
    let mut subject = Subject::start().await;
    let prometheus = Prometheus::start(Path::new(&binary), &files, &[("dogs", subject.sys)]).await;
    prometheus.until_up("dogs").await;
    let load = Load::new(&subject).await;
    let started = Instant::now();
    load.first_round(&subject).await;
    // Twice, because `increase` needs a previous sample of a series.
    for _ in 0..2 {
        load.locked_round(&subject).await;
        load.round(&subject).await;
    }
    let mut rows = table::rows();
    loop {
        load.round(&subject).await;
        table::evaluate(&mut rows, &prometheus).await;
        if !rows.iter().any(table::Row::is_unexplained) || started.elapsed() > TEST_TIMEOUT {
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
    assert_exemplars_have_traces(&exemplars, &subject);
}

/// Asserts that exemplars have traces. The service has stopped, so all of its spans have arrived.
fn assert_exemplars_have_traces(exemplars: &[(String, BTreeSet<String>)], subject: &Subject) {
    let hex = |id: &[u8]| format!("{:032x}", u128::from_be_bytes(id.try_into().unwrap()));
    let received: BTreeSet<_> = subject.collector.received().spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert!(exemplars.len() > 12, "{exemplars:?}");
    for (panel, traces) in exemplars {
        assert!(!traces.is_empty(), "{panel} leads to no trace");
        let unknown: Vec<_> = traces.difference(&received).collect();
        assert!(unknown.is_empty(), "{panel} leads to traces that were not sent: {unknown:?}");
    }
}
