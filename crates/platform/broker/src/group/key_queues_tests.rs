use bytes::Bytes;
use kennel_core::Timestamp;
use uuid::Uuid;

use super::*;

fn received(number: u64, key: &str) -> Received<&'static str> {
    let event = Event {
        id: Uuid::from_u128(number.into()),
        name: "tests.happened".to_owned(),
        source: "/tests".to_owned(),
        topic: "tests".to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(0).unwrap(),
        data: Bytes::new(),
        trace: None,
    };
    Received { event, attempt: 1, partition: 0, position: Some(number), handle: "first" }
}

fn number(taken: Option<Claimed<&'static str>>) -> Option<(u128, u64)> {
    taken.map(|taken| (taken.event.id.as_u128(), taken.token))
}

fn filled(numbers: &[u64]) -> KeyQueues<&'static str> {
    let mut key_queues = KeyQueues::default();
    for number in numbers {
        key_queues.push(received(*number, "rex"));
    }
    key_queues
}

#[test]
fn one_of_a_key_is_out_at_a_time() {
    let mut key_queues = filled(&[1, 2]);
    key_queues.push(received(3, "bello"));
    assert_eq!(number(key_queues.claim(9)), Some((1, 1)));
    assert_eq!(number(key_queues.claim(9)), Some((3, 2)));
    assert_eq!(number(key_queues.claim(9)), None);
    assert!(key_queues.complete("rex", 1));
    assert_eq!(number(key_queues.claim(9)), Some((2, 3)));
    assert!(!key_queues.complete("rex", 1), "that token is spent");
    assert!(key_queues.complete("rex", 3) && key_queues.complete("bello", 2));
    assert!(key_queues.by_key.is_empty() && key_queues.ready.is_empty() && key_queues.claimed == 0);
}

#[test]
fn a_refused_event_comes_back_before_those_behind_it() {
    let mut key_queues = filled(&[1, 2]);
    key_queues.claim(9).unwrap();
    assert!(key_queues.reject("rex", 1));
    key_queues.push(received(3, "rex"));
    assert_eq!(number(key_queues.claim(9)), None);
    key_queues.push(Received { attempt: 2, handle: "again", ..received(1, "rex") });
    let back = key_queues.claim(9).unwrap();
    assert_eq!((back.event.id.as_u128(), back.attempt, back.handle), (1, 2, "again"));
    key_queues.redeliver("rex", 1);
    assert!(key_queues.complete("rex", back.token), "it has come since, and is not given twice");
    assert_eq!(number(key_queues.claim(9)), Some((2, 3)));
}

#[test]
fn a_refused_event_can_be_given_again_from_here() {
    let mut key_queues = filled(&[1, 2]);
    key_queues.claim(9).unwrap();
    assert!(key_queues.reject("rex", 1));
    key_queues.redeliver("rex", 7);
    assert_eq!(number(key_queues.claim(9)), None, "that token refused nothing");
    key_queues.redeliver("rex", 1);
    let again = key_queues.claim(9).unwrap();
    assert_eq!((again.event.id.as_u128(), again.attempt, again.handle), (1, 2, "first"));
    assert!(key_queues.reject("rex", again.token));
    key_queues.pause(0);
    key_queues.redeliver("rex", again.token);
    assert_eq!(number(key_queues.claim(9)), None, "its partition is shut");
    key_queues.remove_partition(0);
    key_queues.redeliver("rex", again.token);
    assert_eq!(number(key_queues.claim(9)), None, "it has been handed on");
}

#[test]
fn an_event_that_comes_twice_is_here_once_with_the_newer_handle() {
    let mut key_queues = filled(&[1, 2]);
    key_queues.claim(9).unwrap();
    key_queues.push(Received { handle: "again", ..received(1, "rex") });
    key_queues.push(Received { handle: "again", ..received(2, "rex") });
    assert_eq!(key_queues.claimed_handle("rex", 1), Some("again"));
    assert!(key_queues.complete("rex", 1));
    assert_eq!(number(key_queues.claim(9)), Some((2, 2)));
    assert!(key_queues.complete("rex", 2));
    assert!(key_queues.by_key.is_empty());
}

#[test]
fn places_in_the_partition_decide_but_nothing_gets_ahead_of_what_is_out() {
    let mut key_queues = filled(&[4, 2]);
    assert_eq!(number(key_queues.claim(9)), Some((2, 1)));
    key_queues.push(received(1, "rex"));
    key_queues.push(received(3, "rex"));
    let mut found = Vec::new();
    for token in 1.. {
        key_queues.complete("rex", token);
        let Some((number, _)) = number(key_queues.claim(9)) else { break };
        found.push(number);
    }
    assert_eq!(found, [1, 3, 4]);
}

#[test]
fn without_places_the_order_is_that_of_arrival() {
    let mut key_queues = KeyQueues::default();
    for number in [2, 1, 3] {
        key_queues.push(Received { position: None, ..received(number, "rex") });
    }
    let mut found = Vec::new();
    for token in 1..=3 {
        found.extend(number(key_queues.claim(9)).map(|(number, _)| number));
        key_queues.complete("rex", token);
    }
    assert_eq!(found, [2, 1, 3]);
}

#[test]
fn no_more_than_the_limit_is_out() {
    let mut key_queues = KeyQueues::default();
    for (place, key) in ["a", "b", "c"].into_iter().enumerate() {
        key_queues.push(received(place as u64, key));
    }
    assert!(key_queues.claim(2).is_some() && key_queues.claim(2).is_some());
    assert!(key_queues.claim(2).is_none());
    assert!(key_queues.reject("a", 1));
    assert!(key_queues.claim(2).is_some());
}

#[test]
fn a_shut_partition_hands_nothing_out_until_it_is_opened() {
    let mut key_queues = filled(&[1]);
    key_queues.pause(0);
    key_queues.push(received(2, "bello"));
    key_queues.push(Received { partition: 1, ..received(3, "max") });
    assert_eq!(number(key_queues.claim(9)), Some((3, 1)));
    assert_eq!(number(key_queues.claim(9)), None);
    key_queues.resume(0);
    let mut found = [number(key_queues.claim(9)).unwrap().0, number(key_queues.claim(9)).unwrap().0];
    found.sort_unstable();
    assert_eq!(found, [1, 2]);
}

#[test]
fn a_partition_that_is_shut_runs_dry() {
    let mut key_queues = filled(&[1, 2]);
    key_queues.push(received(3, "bello"));
    let (rex, bello) = (key_queues.claim(9).unwrap(), key_queues.claim(9).unwrap());
    key_queues.pause(0);
    assert!(key_queues.complete("rex", rex.token) && key_queues.reject("bello", bello.token));
    key_queues.push(received(3, "bello"));
    assert_eq!(number(key_queues.claim(9)), None);
    assert!(!key_queues.has_claimed(0));
    key_queues.resume(0);
    assert!(key_queues.claim(9).is_some() && key_queues.claim(9).is_some());
}

#[test]
fn what_a_partition_had_is_forgotten() {
    let mut key_queues = filled(&[1, 2]);
    key_queues.push(received(3, "away"));
    key_queues.push(Received { handle: "behind", ..received(4, "away") });
    key_queues.push(Received { partition: 1, handle: "other", ..received(5, "max") });
    let (rex, away) = (key_queues.claim(9).unwrap(), key_queues.claim(9).unwrap());
    assert!(key_queues.reject("away", away.token));
    assert!(key_queues.has_claimed(0) && !key_queues.has_claimed(1));
    #[cfg(feature = "nats")]
    {
        let mut unreturned = key_queues.unreturned_handles();
        unreturned.sort_unstable();
        assert_eq!(unreturned, ["behind", "first", "first", "other"]);
    }
    let mut handles = key_queues.remove_partition(0);
    handles.sort_unstable();
    assert_eq!(handles, ["behind", "first", "first"], "what was refused is not settled");
    assert_eq!(key_queues.claimed_handle("rex", rex.token), None);
    assert!(!key_queues.complete("rex", rex.token) && !key_queues.reject("rex", rex.token));
    assert_eq!(key_queues.claimed, 0);
    assert_eq!(number(key_queues.claim(1)), Some((5, 3)));
}
