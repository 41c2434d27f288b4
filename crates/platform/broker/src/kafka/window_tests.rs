use bytes::Bytes;
use kennel_core::Timestamp;
use uuid::Uuid;

use super::*;

const LIMITS: WindowLimits = WindowLimits { entries: 8, bytes: 100 };

pub(in crate::kafka) fn id(number: i32) -> PartitionId {
    PartitionId { topic: "t".into(), number }
}

pub(in crate::kafka) fn event(key: &str) -> Event {
    Event {
        id: Uuid::nil(),
        name: "tests.happened".to_owned(),
        source: "/tests".to_owned(),
        topic: "t".to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(0).unwrap(),
        content_type: "application/json".to_owned(),
        data: Bytes::from_static(b"{}"),
        trace: None,
    }
}

/// Returns a window with one partition that contains one event for each of these keys, at the offsets 10, 11 and so on.
fn window(keys: &[&str]) -> Window {
    let mut window = Window::new(LIMITS);
    window.assign(id(0), Attempts::new());
    for (offset, key) in (10..).zip(keys) {
        assert!(window.push(&id(0), offset, Some(event(key))));
    }
    window
}

fn poll(window: &mut Window, limit: usize, now: Instant) -> Option<Claimed> {
    match window.poll(limit, now) {
        Next::Item(claimed) => claimed.ok(),
        Next::Wait(_) => None,
    }
}

fn claim(window: &mut Window) -> Option<Claimed> {
    poll(window, usize::MAX, Instant::now())
}

fn complete(window: &mut Window, claimed: &Claimed) -> bool {
    window.complete(&claimed.claim)
}

fn release(window: &mut Window, claimed: &Claimed, due: Option<Instant>) -> bool {
    window.release(&claimed.claim, due.map(Instant::into_std))
}

/// Commits successfully; returns what was committed.
fn commit(window: &mut Window) -> Vec<(PartitionId, i64)> {
    let commits = window.begin_commit();
    window.end_commit(true);
    commits
}

#[test]
fn only_what_is_settled_with_all_before_it_is_committed() {
    let mut window = window(&["a", "b", "c"]);
    let [a, b, c] = std::array::from_fn(|_| claim(&mut window).unwrap());
    assert_eq!([a.offset, b.offset, c.offset], [10, 11, 12]);
    assert!(complete(&mut window, &b));
    assert_eq!(commit(&mut window), []);
    assert!(complete(&mut window, &a));
    assert_eq!(commit(&mut window), [(id(0), 12)]);
    assert_eq!(commit(&mut window), [], "once is enough");
    assert!(complete(&mut window, &c));
    assert_eq!(commit(&mut window), [(id(0), 13)]);
}

#[test]
fn a_commit_counts_once_it_has_succeeded() {
    let mut window = window(&["a", "b", "c"]);
    let [a, b, c] = std::array::from_fn(|_| claim(&mut window).unwrap());
    complete(&mut window, &a);
    assert_eq!(window.begin_commit(), [(id(0), 11)]);
    complete(&mut window, &b);
    window.end_commit(false);
    assert_eq!(window.uncommitted(), 1);
    assert_eq!(window.begin_commit(), [(id(0), 12)], "what failed is due again, with what was settled since");
    complete(&mut window, &c);
    window.end_commit(true);
    assert_eq!(window.uncommitted(), 1, "settled since");
    assert_eq!(commit(&mut window), [(id(0), 13)]);
    assert_eq!(window.uncommitted(), 0);
}

#[test]
fn a_commit_from_an_earlier_assignment_does_not_count() {
    let mut window = window(&["a"]);
    let claimed = claim(&mut window).unwrap();
    complete(&mut window, &claimed);
    assert_eq!(window.begin_commit(), [(id(0), 11)]);
    window.assign(id(0), Attempts::new());
    window.end_commit(true);
    // The topic was created again, or another member had the partition: offsets may be lower.
    window.push(&id(0), 0, None);
    assert_eq!(window.begin_commit(), [(id(0), 1)]);
}

#[test]
fn offsets_may_have_gaps_and_records_may_lack_events() {
    let mut window = Window::new(LIMITS);
    window.assign(id(0), Attempts::new());
    assert!(window.push(&id(0), 7, None));
    assert_eq!(commit(&mut window), [(id(0), 8)]);
    window.push(&id(0), 20, Some(event("a")));
    window.push(&id(0), 31, None);
    assert_eq!(commit(&mut window), []);
    let claimed = claim(&mut window).unwrap();
    complete(&mut window, &claimed);
    assert_eq!(commit(&mut window), [(id(0), 32)]);
}

#[test]
fn only_the_same_key_waits_for_an_unsettled_event() {
    let mut window = window(&["a", "a", "b"]);
    let (first, other) = (claim(&mut window).unwrap(), claim(&mut window).unwrap());
    assert_eq!((first.offset, other.offset), (10, 12));
    assert!(claim(&mut window).is_none());
    release(&mut window, &first, None);
    let again = claim(&mut window).unwrap();
    assert_eq!((again.offset, again.attempt), (10, 2));
    assert!(!complete(&mut window, &first), "an old token settles nothing");
    complete(&mut window, &again);
    assert_eq!(claim(&mut window).unwrap().offset, 11);
}

#[test]
fn a_delayed_event_is_delivered_when_it_is_due() {
    let mut window = window(&["a", "a"]);
    let (claimed, due) = (claim(&mut window).unwrap(), Instant::now() + Duration::from_mins(1));
    release(&mut window, &claimed, Some(due));
    assert_eq!(window.queues.next_due(), Some(due.into_std()));
    assert!(claim(&mut window).is_none());
    let again = poll(&mut window, usize::MAX, due).unwrap();
    assert_eq!((again.offset, again.attempt, window.queues.next_due()), (10, 2, None));
}

#[test]
fn no_more_events_are_claimed_than_allowed() {
    let mut window = window(&["a", "b", "c"]);
    let claimed = poll(&mut window, 1, Instant::now()).unwrap();
    assert!(poll(&mut window, 1, Instant::now()).is_none());
    release(&mut window, &claimed, Some(Instant::now() + Duration::from_mins(1)));
    assert!(poll(&mut window, 1, Instant::now()).is_some(), "delayed events are not claimed");
}

#[test]
fn a_draining_partition_only_settles_claimed_events() {
    let mut window = window(&["a", "a", "b", "c"]);
    let (a, b) = (claim(&mut window).unwrap(), claim(&mut window).unwrap());
    window.drain(&id(0));
    assert_eq!(window.claimed_count(&[id(0)]), 2);
    assert!(claim(&mut window).is_none());
    assert!(!window.push(&id(0), 14, Some(event("d"))));
    assert!(complete(&mut window, &a) && release(&mut window, &b, None));
    assert_eq!(window.claimed_count(&[id(0)]), 0);
    assert!(claim(&mut window).is_none(), "neither the next of the key nor the released one");
    assert_eq!(commit(&mut window), [(id(0), 11)]);
}

#[test]
fn attempts_of_a_revoked_partition_are_restored_with_it() {
    let mut window = window(&["a", "b", "c"]);
    let (a, b) = (claim(&mut window).unwrap(), claim(&mut window).unwrap());
    release(&mut window, &a, None);
    complete(&mut window, &b);
    let attempts = window.revoke(&id(0));
    assert_eq!(attempts, Attempts::from([(10, 1)]));
    assert!(!release(&mut window, &b, None));
    assert_eq!((window.partition_ids(), window.queues.claimed_keys()), (vec![], 0));
    window.assign(id(0), attempts);
    for offset in 10..13 {
        window.push(&id(0), offset, Some(event("a")));
    }
    let again = claim(&mut window).unwrap();
    assert_eq!((again.offset, again.attempt), (10, 2));
}

#[test]
fn claimed_events_of_a_revoked_partition_do_not_count() {
    let mut window = window(&["a"]);
    window.assign(id(1), Attempts::new());
    let claimed = claim(&mut window).unwrap();
    window.revoke(&id(0));
    assert!(!complete(&mut window, &claimed));
    window.push(&id(1), 0, Some(event("a")));
    assert_eq!(poll(&mut window, 1, Instant::now()).unwrap().claim.partition(), &id(1));
}

#[test]
fn a_lower_offset_starts_a_new_log() {
    let mut window = window(&["a", "b"]);
    assert!(!window.push(&id(1), 12, Some(event("b"))), "not assigned to this member");
    let [a, b] = std::array::from_fn(|_| claim(&mut window).unwrap());
    complete(&mut window, &a);
    assert_eq!(window.positions(), [(id(0), 12)]);
    assert!(window.push(&id(0), 3, Some(event("c"))));
    assert!(!complete(&mut window, &b), "it belongs to the previous log");
    assert_eq!((window.positions(), window.begin_commit()), (vec![(id(0), 4)], vec![]));
    let c = claim(&mut window).unwrap();
    assert_eq!((c.offset, c.event.key.as_str(), claim(&mut window).is_none()), (3, "c", true));
    complete(&mut window, &c);
    assert_eq!(window.begin_commit(), [(id(0), 4)]);
}

#[test]
fn reading_pauses_at_the_limit_and_resumes_with_capacity() {
    let mut window = window(&["a"; 7]);
    assert_eq!(window.mark_paused(), []);
    window.push(&id(0), 17, Some(event("a")));
    assert_eq!(window.mark_paused(), [id(0)]);
    assert_eq!((window.mark_paused(), window.mark_resumed()), (vec![], vec![]));
    for _ in 0..4 {
        let claimed = claim(&mut window).unwrap();
        complete(&mut window, &claimed);
    }
    assert_eq!(window.mark_resumed(), [id(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_slow_for_long_is_paused_although_it_is_not_full() {
    const LIMIT: Duration = Duration::from_secs(1);
    let mut window = window(&["a"; 8]);
    let complete_next = |window: &mut Window| {
        let claimed = claim(window).unwrap();
        complete(window, &claimed);
    };
    complete_next(&mut window);
    window.end_wait(&id(0), Instant::now(), LIMIT);
    assert_eq!(window.mark_paused(), [], "it may only just have been full");
    tokio::time::advance(LIMIT).await;
    window.end_wait(&id(0), Instant::now(), LIMIT);
    assert_eq!(window.mark_paused(), [id(0)]);
    for _ in 0..3 {
        complete_next(&mut window);
    }
    assert_eq!((window.mark_resumed(), window.mark_paused()), (vec![id(0)], vec![]));
    // With capacity in between, the time begins anew.
    window.end_wait(&id(0), Instant::now(), LIMIT);
    assert_eq!(window.mark_paused(), []);
}

#[test]
fn the_limit_of_bytes_pauses_as_well() {
    let mut window = window(&[]);
    window.push(&id(0), 0, Some(Event { data: Bytes::from(vec![b' '; 100]), ..event("a") }));
    assert_eq!(window.mark_paused(), [id(0)]);
    let claimed = claim(&mut window).unwrap();
    complete(&mut window, &claimed);
    assert_eq!(window.mark_resumed(), [id(0)]);
}
