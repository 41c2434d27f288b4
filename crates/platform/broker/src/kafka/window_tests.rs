use std::time::Duration;

use bytes::Bytes;
use kennel_core::Timestamp;
use uuid::Uuid;

use super::*;

const ROOM: Room = Room { entries: 8, bytes: 100 };

fn part(number: i32) -> Part {
    Part { topic: "t".into(), number }
}

fn event(key: &str) -> Event {
    Event {
        id: Uuid::nil(),
        name: "tests.happened".to_owned(),
        source: "/tests".to_owned(),
        topic: "t".to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(0).unwrap(),
        data: Bytes::from_static(b"{}"),
        trace: None,
    }
}

/// A window with one partition, which has one event for each of these keys, at the offsets 10, 11 and so on.
fn window(keys: &[&str]) -> Window {
    let mut window = Window::new(ROOM);
    window.assign(part(0), Attempts::new());
    for (offset, key) in (10..).zip(keys) {
        assert!(window.admit(&part(0), offset, Some(event(key))));
    }
    window
}

fn take(window: &mut Window) -> Option<Taken> {
    window.take(usize::MAX, Instant::now())
}

fn finish(window: &mut Window, taken: &Taken) -> bool {
    window.finish(&taken.part, &taken.event.key, taken.token)
}

fn release(window: &mut Window, taken: &Taken, due: Option<Instant>) -> bool {
    window.release(&taken.part, &taken.event.key, taken.token, due)
}

/// What is committed, with success.
fn commit(window: &mut Window) -> Vec<(Part, i64)> {
    let commits = window.begin_commit();
    window.end_commit(true);
    commits
}

#[test]
fn only_what_is_settled_with_all_before_it_is_committed() {
    let mut window = window(&["a", "b", "c"]);
    let [a, b, c] = std::array::from_fn(|_| take(&mut window).unwrap());
    assert_eq!([a.offset, b.offset, c.offset], [10, 11, 12]);
    assert!(finish(&mut window, &b));
    assert_eq!(commit(&mut window), []);
    assert!(finish(&mut window, &a));
    assert_eq!(commit(&mut window), [(part(0), 12)]);
    assert_eq!(commit(&mut window), [], "once is enough");
    assert!(finish(&mut window, &c));
    assert_eq!(commit(&mut window), [(part(0), 13)]);
}

#[test]
fn a_commit_counts_once_it_has_succeeded() {
    let mut window = window(&["a", "b", "c"]);
    let [a, b, c] = std::array::from_fn(|_| take(&mut window).unwrap());
    finish(&mut window, &a);
    assert_eq!(window.begin_commit(), [(part(0), 11)]);
    finish(&mut window, &b);
    window.end_commit(false);
    assert_eq!(window.uncommitted(), 1);
    assert_eq!(window.begin_commit(), [(part(0), 12)], "what failed is due again, with what was settled since");
    finish(&mut window, &c);
    window.end_commit(true);
    assert_eq!(window.uncommitted(), 1, "settled since");
    assert_eq!(commit(&mut window), [(part(0), 13)]);
    assert_eq!(window.uncommitted(), 0);
}

#[test]
fn a_commit_from_before_a_partition_came_back_says_nothing_of_it() {
    let mut window = window(&["a"]);
    let taken = take(&mut window).unwrap();
    finish(&mut window, &taken);
    assert_eq!(window.begin_commit(), [(part(0), 11)]);
    window.assign(part(0), Attempts::new());
    window.end_commit(true);
    // The topic has been created again, or another member had the partition: offsets may be lower.
    window.admit(&part(0), 0, None);
    assert_eq!(window.begin_commit(), [(part(0), 1)]);
}

#[test]
fn offsets_may_have_gaps_and_records_nothing_to_deliver() {
    let mut window = Window::new(ROOM);
    window.assign(part(0), Attempts::new());
    assert!(window.admit(&part(0), 7, None));
    assert_eq!(commit(&mut window), [(part(0), 8)]);
    window.admit(&part(0), 20, Some(event("a")));
    window.admit(&part(0), 31, None);
    assert_eq!(commit(&mut window), []);
    let taken = take(&mut window).unwrap();
    finish(&mut window, &taken);
    assert_eq!(commit(&mut window), [(part(0), 32)]);
}

#[test]
fn a_key_waits_for_its_first_event_and_no_other_key_does() {
    let mut window = window(&["a", "a", "b"]);
    let (first, other) = (take(&mut window).unwrap(), take(&mut window).unwrap());
    assert_eq!((first.offset, other.offset), (10, 12));
    assert!(take(&mut window).is_none());
    release(&mut window, &first, None);
    let again = take(&mut window).unwrap();
    assert_eq!((again.offset, again.attempt), (10, 2));
    assert!(!finish(&mut window, &first), "an old token settles nothing");
    finish(&mut window, &again);
    assert_eq!(take(&mut window).unwrap().offset, 11);
}

#[test]
fn a_delayed_event_comes_when_it_is_due() {
    let mut window = window(&["a", "a"]);
    let (taken, due) = (take(&mut window).unwrap(), Instant::now() + Duration::from_mins(1));
    release(&mut window, &taken, Some(due));
    assert_eq!(window.next_due(), Some(due));
    assert!(take(&mut window).is_none());
    let again = window.take(usize::MAX, due).unwrap();
    assert_eq!((again.offset, again.attempt, window.next_due()), (10, 2, None));
}

#[test]
fn no_more_is_held_than_allowed() {
    let mut window = window(&["a", "b", "c"]);
    let taken = window.take(1, Instant::now()).unwrap();
    assert!(window.take(1, Instant::now()).is_none());
    release(&mut window, &taken, Some(Instant::now() + Duration::from_mins(1)));
    assert!(window.take(1, Instant::now()).is_some(), "what is delayed is not held");
}

#[test]
fn a_partition_that_is_leaving_only_settles_what_is_out() {
    let mut window = window(&["a", "a", "b", "c"]);
    let (a, b) = (take(&mut window).unwrap(), take(&mut window).unwrap());
    window.leave(&part(0));
    assert_eq!(window.out(&[part(0)]), 2);
    assert!(take(&mut window).is_none());
    assert!(!window.admit(&part(0), 14, Some(event("d"))));
    assert!(finish(&mut window, &a) && release(&mut window, &b, None));
    assert_eq!(window.out(&[part(0)]), 0);
    assert!(take(&mut window).is_none(), "neither the next of the key nor what came back");
    assert_eq!(commit(&mut window), [(part(0), 11)]);
}

#[test]
fn attempts_go_with_a_partition_and_come_back_with_it() {
    let mut window = window(&["a", "b", "c"]);
    let (a, b) = (take(&mut window).unwrap(), take(&mut window).unwrap());
    release(&mut window, &a, None);
    finish(&mut window, &b);
    let attempts = window.revoke(&part(0));
    assert_eq!(attempts, Attempts::from([(10, 1)]));
    assert!(!release(&mut window, &b, None));
    assert_eq!((window.parts(), window.held), (vec![], 0));
    window.assign(part(0), attempts);
    for offset in 10..13 {
        window.admit(&part(0), offset, Some(event("a")));
    }
    let again = take(&mut window).unwrap();
    assert_eq!((again.offset, again.attempt), (10, 2));
}

#[test]
fn what_is_out_of_a_revoked_partition_is_no_longer_held() {
    let mut window = window(&["a"]);
    window.assign(part(1), Attempts::new());
    let taken = take(&mut window).unwrap();
    window.revoke(&part(0));
    assert!(!finish(&mut window, &taken));
    window.admit(&part(1), 0, Some(event("a")));
    assert_eq!(window.take(1, Instant::now()).unwrap().part, part(1));
}

#[test]
fn an_offset_that_comes_again_begins_a_new_log() {
    let mut window = window(&["a", "b"]);
    assert!(!window.admit(&part(1), 12, Some(event("b"))), "not this member's");
    let [a, b] = std::array::from_fn(|_| take(&mut window).unwrap());
    finish(&mut window, &a);
    assert_eq!(window.positions(), [(part(0), 12)]);
    assert!(window.admit(&part(0), 3, Some(event("c"))));
    assert!(!finish(&mut window, &b), "it was of the log before");
    assert_eq!((window.positions(), window.begin_commit()), (vec![(part(0), 4)], vec![]));
    let c = take(&mut window).unwrap();
    assert_eq!((c.offset, c.event.key.as_str(), take(&mut window).is_none()), (3, "c", true));
    finish(&mut window, &c);
    assert_eq!(window.begin_commit(), [(part(0), 4)]);
}

#[test]
fn reading_stops_far_ahead_and_goes_on_when_there_is_room() {
    let mut window = window(&["a"; 7]);
    assert_eq!(window.crowded(), []);
    window.admit(&part(0), 17, Some(event("a")));
    assert_eq!(window.crowded(), [part(0)]);
    assert_eq!((window.crowded(), window.roomy()), (vec![], vec![]));
    for _ in 0..4 {
        let taken = take(&mut window).unwrap();
        finish(&mut window, &taken);
    }
    assert_eq!(window.roomy(), [part(0)]);
}

#[test]
fn many_bytes_crowd_as_well() {
    let mut window = window(&[]);
    window.admit(&part(0), 0, Some(Event { data: Bytes::from(vec![b' '; 100]), ..event("a") }));
    assert_eq!(window.crowded(), [part(0)]);
    let taken = take(&mut window).unwrap();
    finish(&mut window, &taken);
    assert_eq!(window.roomy(), [part(0)]);
}
