use std::sync::atomic::Ordering;

use kennel_app::Check as _;
use kennel_core::Timestamp;
use prometheus::Registry;
use tokio::time::Instant;

use super::*;
use crate::fakes::{Broker, MemoryOutbox, TestClock, event, eventually, in_trace, run_alongside};

const HOLDER: Uuid = Uuid::from_u128(7);
const OTHER: Uuid = Uuid::from_u128(8);

struct Setup {
    outbox: Arc<MemoryOutbox>,
    broker: Broker,
    clock: Arc<TestClock>,
    metrics: RelayMetrics,
    config: RelayConfig,
}

fn setup() -> Setup {
    // The poll interval is long, so that only a notification can be quick.
    let config = RelayConfig { batch: 3, poll: Duration::from_mins(10), ..RelayConfig::default() };
    Setup {
        outbox: Arc::default(),
        broker: Broker::default(),
        clock: TestClock::new(),
        metrics: RelayMetrics::register(&Registry::new()).unwrap(),
        config,
    }
}

impl Setup {
    fn relay(&self) -> Relay {
        let outbox = Arc::clone(&self.outbox) as Arc<dyn Outbox>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Relay::new(outbox, Arc::new(self.broker.clone()), clock, HOLDER, self.config, self.metrics.clone())
    }

    fn commit(&self, ids: impl IntoIterator<Item = u128>) {
        self.outbox.commit(ids.into_iter().map(|id| event(id, "rex")));
    }

    async fn until_published(&self, ids: &[u128]) {
        eventually("published", || self.outbox.published() == ids).await;
    }
}

#[tokio::test(start_paused = true)]
async fn publishes_pending_events_in_order_and_then_new_ones() {
    let setup = setup();
    setup.commit(1..=7);
    let began = Instant::now();
    run_alongside(setup.relay(), async {
        setup.until_published(&[1, 2, 3, 4, 5, 6, 7]).await;
        setup.commit([8]);
        setup.until_published(&[1, 2, 3, 4, 5, 6, 7, 8]).await;
        assert_eq!(setup.metrics.leader.get(), 1);
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(1), "a commit wakes the relay: {:?}", began.elapsed());
    assert_eq!(setup.broker.taken(), (1..=8).collect::<Vec<_>>());
    assert_eq!(setup.metrics.published.get(), 8);
    assert_eq!(setup.metrics.relay.count(), 8);
    assert_eq!((setup.outbox.holder(), setup.metrics.leader.get()), (None, 0), "the lease is released at the end");
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_another_process_is_found_by_the_poll() {
    let mut setup = setup();
    setup.config.poll = Duration::from_mins(2);
    run_alongside(setup.relay(), async {
        eventually("leader", || setup.metrics.leader.get() == 1).await;
        sleep(Duration::from_secs(1)).await;
        setup.outbox.commit_silently(event(1, "rex"));
        sleep(Duration::from_mins(1)).await;
        assert_eq!(setup.outbox.published(), []);
        setup.until_published(&[1]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_broker_loses_no_event_and_no_order() {
    let setup = setup();
    setup.broker.refuse(7);
    setup.commit(1..=5);
    let began = Instant::now();
    run_alongside(setup.relay(), async {
        eventually("refused once", || setup.broker.refusals_left() < 7).await;
        assert_eq!(setup.outbox.published(), []);
        setup.until_published(&[1, 2, 3, 4, 5]).await;
    })
    .await;
    assert_eq!(setup.broker.taken(), [1, 2, 3, 4, 5]);
    // 0.1 + 0.2 + ... + 6.4 s, each up to half shorter.
    assert!(began.elapsed() >= Duration::from_millis(6_350), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_too_slow_for_a_batch_gets_smaller_ones() {
    let mut setup = setup();
    setup.config.batch = 500;
    setup.broker.limit_key(20);
    setup.commit(1..=100);
    let all: Vec<u128> = (1..=100).collect();
    run_alongside(setup.relay(), setup.until_published(&all)).await;
    assert_eq!(setup.broker.taken(), all);
}

#[tokio::test(start_paused = true)]
async fn batches_grow_again_after_a_failure() {
    let mut setup = setup();
    setup.config.batch = 500;
    setup.broker.refuse(12);
    setup.commit(1..=1_000);
    let all: Vec<u128> = (1..=1_000).collect();
    run_alongside(setup.relay(), setup.until_published(&all)).await;
    // 12 that fail; then 1, 1, 3, 7, 15, 31, 62, 125, 250, 500 and the last 5.
    assert_eq!(setup.broker.started(), 23);
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_is_retried() {
    let setup = setup();
    setup.outbox.down.store(true, Ordering::SeqCst);
    setup.commit([1]);
    run_alongside(setup.relay(), async {
        sleep(Duration::from_mins(2)).await;
        setup.outbox.down.store(false, Ordering::SeqCst);
        setup.until_published(&[1]).await;
        setup.outbox.down.store(true, Ordering::SeqCst);
        setup.commit([2]);
        sleep(Duration::from_mins(2)).await;
        assert_eq!(setup.metrics.leader.get(), 0, "a lease that cannot be renewed runs out");
        setup.outbox.down.store(false, Ordering::SeqCst);
        setup.until_published(&[1, 2]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn events_that_were_not_marked_are_published_again() {
    let setup = setup();
    setup.outbox.failing_marks.store(1, Ordering::SeqCst);
    setup.commit([1, 2]);
    run_alongside(setup.relay(), setup.until_published(&[1, 2])).await;
    assert_eq!(setup.broker.taken(), [1, 2, 1, 2]);
    assert_eq!(setup.metrics.published.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn measures_the_backlog_while_it_waits_for_the_lease() {
    let setup = setup();
    setup.outbox.hand_over(OTHER, Duration::from_mins(1));
    setup.commit([1, 2]);
    run_alongside(setup.relay(), async {
        sleep(Duration::from_millis(59_900)).await;
        assert_eq!(setup.broker.started(), 0);
        assert_eq!((setup.metrics.leader.get(), setup.metrics.pending.get()), (0, 2));
        assert!(setup.metrics.oldest.get() >= 50.0, "{}", setup.metrics.oldest.get());
        setup.until_published(&[1, 2]).await;
        eventually("measured", || setup.metrics.pending.get() == 0).await;
        assert!(setup.metrics.oldest.get() < f64::EPSILON);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_during_a_slow_publish() {
    let setup = setup();
    setup.broker.block(true);
    setup.commit([1]);
    run_alongside(setup.relay(), async {
        eventually("started", || setup.broker.started() == 1).await;
        for _ in 0..100 {
            sleep(setup.config.lease_ttl / 2).await;
            let taken = setup.outbox.lease(OTHER, setup.config.lease_ttl).await.unwrap();
            assert!(!taken, "another took the lease after {:?}", setup.clock.now());
        }
        setup.broker.block(false);
        setup.until_published(&[1]).await;
    })
    .await;
    assert_eq!(setup.broker.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_lost_during_a_publish_leaves_the_events_to_the_next_leader() {
    let setup = setup();
    setup.broker.block(true);
    setup.commit([1]);
    run_alongside(setup.relay(), async {
        eventually("started", || setup.broker.started() == 1).await;
        setup.outbox.hand_over(OTHER, Duration::from_secs(100));
        eventually("noticed", || setup.metrics.leader.get() == 0).await;
        setup.broker.block(false);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(setup.outbox.published(), []);
        assert_eq!(setup.broker.taken(), [], "the publish was cancelled");
        setup.until_published(&[1]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_batch_in_flight() {
    let setup = setup();
    setup.broker.block(true);
    setup.commit(1..=5);
    let stop = Stop::new();
    let ((), ended) = tokio::join!(
        async {
            eventually("started", || setup.broker.started() == 1).await;
            stop.request();
            sleep(setup.config.stop_grace / 2).await;
            setup.broker.block(false);
        },
        Box::new(setup.relay()).run(stop.clone())
    );
    ended.unwrap();
    assert_eq!(setup.outbox.published(), [1, 2, 3]);
    assert_eq!(setup.outbox.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_event_delays_only_its_key_and_marks_are_in_order() {
    let mut setup = setup();
    (setup.config.batch, setup.config.in_flight) = (2, 4);
    setup.broker.block_key("rex");
    let keys = ["rex", "bella", "rex", "max", "luna", "max", "bella"];
    setup.outbox.commit(keys.iter().zip(1..).map(|(key, id)| event(id, key)));
    run_alongside(setup.relay(), async {
        eventually("three batches", || setup.broker.started() == 3).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(setup.broker.taken(), [4, 5], "the third has to wait for the first, the last ones for room or key");
        assert_eq!(setup.outbox.published(), [], "later batches are marked after earlier ones");
        setup.broker.block_key("no other");
        eventually("all published", || setup.outbox.published().len() == 7).await;
    })
    .await;
    let published = setup.outbox.published();
    assert_eq!(setup.broker.taken().len(), 7, "nothing is published twice");
    for key in ["rex", "bella", "max"] {
        let of_key: Vec<_> = published.iter().filter(|id| keys[usize::try_from(**id).unwrap() - 1] == key).collect();
        assert!(of_key.is_sorted(), "{key}: {published:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn further_batches_fill_the_limit_of_events_in_flight_and_do_not_exceed_it() {
    let mut setup = setup();
    (setup.config.batch, setup.config.in_flight) = (3, 5);
    setup.broker.block(true);
    setup.outbox.commit((1..=9).map(|id| event(id, &id.to_string())));
    let stop = Stop::new();
    let ((), ended) = tokio::join!(
        async {
            eventually("two batches", || setup.broker.started() == 2).await;
            stop.request();
            sleep(setup.config.stop_grace / 2).await;
            setup.broker.block(false);
        },
        Box::new(setup.relay()).run(stop.clone())
    );
    ended.unwrap();
    assert_eq!(setup.outbox.published(), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn events_that_the_broker_has_stored_at_once_are_not_read_again() {
    let mut setup = setup();
    setup.config.in_flight = 1_000;
    setup.commit(1..=30);
    let all: Vec<u128> = (1..=30).collect();
    run_alongside(setup.relay(), setup.until_published(&all)).await;
    assert_eq!(setup.outbox.read.load(Ordering::SeqCst), 30);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_key_with_many_events_delays_no_other_key() {
    let mut setup = setup();
    setup.config.in_flight = 100;
    setup.broker.block_key("rex");
    setup.commit(1..=500);
    setup.outbox.commit([event(501, "bella")]);
    run_alongside(setup.relay(), eventually("bella's is out", || setup.broker.taken() == [501])).await;
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_broker_does_not_delay_the_stop() {
    let setup = setup();
    setup.broker.block(true);
    setup.commit([1]);
    let began = Instant::now();
    run_alongside(setup.relay(), eventually("started", || setup.broker.started() == 1)).await;
    assert!(began.elapsed() < setup.config.stop_grace + Duration::from_secs(1));
    assert_eq!(setup.outbox.published(), []);
    assert_eq!(setup.outbox.holder(), None);
}

#[tokio::test]
async fn events_retain_their_traces_and_are_published_in_one_span() {
    let (_subscriber, spans) = kennel_testkit::spans::record();
    let setup = setup();
    let traces = ["0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"];
    setup.outbox.commit(traces.iter().zip(1..).map(|(trace, id)| in_trace(event(id, "rex"), trace)));
    run_alongside(setup.relay(), setup.until_published(&[1, 2])).await;

    let spans = spans.get_finished_spans().unwrap();
    assert_eq!(spans.iter().filter(|span| span.name == "outbox.relay").count(), 1);
    let published_traces: Vec<_> = setup.broker.taken_traces();
    assert!(published_traces[0].contains(traces[0]) && published_traces[1].contains(traces[1]), "{published_traces:?}");
}

#[tokio::test(start_paused = true)]
async fn the_leader_deletes_rows_past_their_retention() {
    let mut setup = setup();
    setup.config.retention = Duration::from_hours(2);
    setup.config.purge_every = Duration::from_mins(1);
    setup.commit([1]);
    run_alongside(setup.relay(), async {
        setup.until_published(&[1]).await;
        sleep(Duration::from_secs(7_000)).await;
        setup.commit([2]);
        setup.until_published(&[1, 2]).await;
        setup.until_published(&[2]).await;
        assert!(setup.clock.now() >= Timestamp::from_millis(7_200_000).unwrap());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pending_events_that_nobody_publishes_are_no_progress() {
    let setup = setup();
    setup.broker.refuse(u32::MAX);
    let relay = setup.relay();
    let progress = relay.progress();
    run_alongside(relay, async {
        sleep(Duration::from_hours(1)).await;
        progress.check().await.expect("there is nothing to do");
        setup.commit(1..=12);
        sleep(setup.config.stall_limit).await;
        progress.check().await.unwrap();
        sleep(setup.config.measure_every * 2).await;
        let detail = progress.detail().unwrap();
        let since =
            detail.strip_prefix("12 events pending, none published for ").and_then(|rest| rest.split(' ').next());
        assert!((30..=40).contains(&since.unwrap().parse().unwrap()), "{detail}");
        setup.broker.refuse(0);
        eventually("it goes on", || progress.detail().is_none()).await;
    })
    .await;
}

/// A follower sees no calls that mark events, so it compares backlogs.
#[tokio::test(start_paused = true)]
async fn a_follower_detects_whether_another_process_publishes() {
    let setup = setup();
    setup.outbox.hand_over(OTHER, Duration::from_hours(24));
    let relay = setup.relay();
    let progress = relay.progress();
    run_alongside(relay, async {
        setup.commit(1..=100);
        for id in 1..=60 {
            sleep(Duration::from_secs(6)).await;
            setup.outbox.mark_published(&[Uuid::from_u128(id)], setup.clock.now()).await.unwrap();
            progress.check().await.expect("another publishes");
        }
        sleep(setup.config.stall_limit + setup.config.measure_every * 2).await;
        assert!(progress.detail().unwrap().starts_with("40 events pending"), "{:?}", progress.detail());
        setup.outbox.down.store(true, Ordering::SeqCst);
        eventually("the store is down", || progress.detail().unwrap().starts_with("cannot read the outbox")).await;
    })
    .await;
}
