use bytes::Bytes;
use kennel_core::Timestamp;
use uuid::Uuid;

use super::*;

fn arrival(number: u64, key: &str) -> Arrival<&'static str> {
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
    Arrival { event, attempt: 1, partition: 0, position: Some(number), handle: "first" }
}

fn number(taken: Option<Taken<&'static str>>) -> Option<(u128, u64)> {
    taken.map(|taken| (taken.event.id.as_u128(), taken.token))
}

fn filled(numbers: &[u64]) -> Lanes<&'static str> {
    let mut lanes = Lanes::default();
    for number in numbers {
        lanes.arrive(arrival(*number, "rex"));
    }
    lanes
}

#[test]
fn one_of_a_key_is_out_at_a_time() {
    let mut lanes = filled(&[1, 2]);
    lanes.arrive(arrival(3, "bello"));
    assert_eq!(number(lanes.take(9)), Some((1, 1)));
    assert_eq!(number(lanes.take(9)), Some((3, 2)));
    assert_eq!(number(lanes.take(9)), None);
    assert!(lanes.finish("rex", 1));
    assert_eq!(number(lanes.take(9)), Some((2, 3)));
    assert!(!lanes.finish("rex", 1), "that token is spent");
    assert!(lanes.finish("rex", 3) && lanes.finish("bello", 2));
    assert!(lanes.by_key.is_empty() && lanes.ready.is_empty() && lanes.out == 0);
}

#[test]
fn a_refused_event_comes_back_before_those_behind_it() {
    let mut lanes = filled(&[1, 2]);
    lanes.take(9).unwrap();
    assert!(lanes.refuse("rex", 1));
    lanes.arrive(arrival(3, "rex"));
    assert_eq!(number(lanes.take(9)), None);
    lanes.arrive(Arrival { attempt: 2, handle: "again", ..arrival(1, "rex") });
    let back = lanes.take(9).unwrap();
    assert_eq!((back.event.id.as_u128(), back.attempt, back.handle), (1, 2, "again"));
    lanes.give_again("rex", 1);
    assert!(lanes.finish("rex", back.token), "it has come since, and is not given twice");
    assert_eq!(number(lanes.take(9)), Some((2, 3)));
}

#[test]
fn a_refused_event_can_be_given_again_from_here() {
    let mut lanes = filled(&[1, 2]);
    lanes.take(9).unwrap();
    assert!(lanes.refuse("rex", 1));
    lanes.give_again("rex", 7);
    assert_eq!(number(lanes.take(9)), None, "that token refused nothing");
    lanes.give_again("rex", 1);
    let again = lanes.take(9).unwrap();
    assert_eq!((again.event.id.as_u128(), again.attempt, again.handle), (1, 2, "first"));
    assert!(lanes.refuse("rex", again.token));
    lanes.shut(0);
    lanes.give_again("rex", again.token);
    assert_eq!(number(lanes.take(9)), None, "its partition is shut");
    lanes.forget(0);
    lanes.give_again("rex", again.token);
    assert_eq!(number(lanes.take(9)), None, "it has been handed on");
}

#[test]
fn an_event_that_comes_twice_is_here_once_with_the_newer_handle() {
    let mut lanes = filled(&[1, 2]);
    lanes.take(9).unwrap();
    lanes.arrive(Arrival { handle: "again", ..arrival(1, "rex") });
    lanes.arrive(Arrival { handle: "again", ..arrival(2, "rex") });
    assert_eq!(lanes.held("rex", 1), Some("again"));
    assert!(lanes.finish("rex", 1));
    assert_eq!(number(lanes.take(9)), Some((2, 2)));
    assert!(lanes.finish("rex", 2));
    assert!(lanes.by_key.is_empty());
}

#[test]
fn places_in_the_partition_decide_but_nothing_gets_ahead_of_what_is_out() {
    let mut lanes = filled(&[4, 2]);
    assert_eq!(number(lanes.take(9)), Some((2, 1)));
    lanes.arrive(arrival(1, "rex"));
    lanes.arrive(arrival(3, "rex"));
    let mut found = Vec::new();
    for token in 1.. {
        lanes.finish("rex", token);
        let Some((number, _)) = number(lanes.take(9)) else { break };
        found.push(number);
    }
    assert_eq!(found, [1, 3, 4]);
}

#[test]
fn without_places_the_order_is_that_of_arrival() {
    let mut lanes = Lanes::default();
    for number in [2, 1, 3] {
        lanes.arrive(Arrival { position: None, ..arrival(number, "rex") });
    }
    let mut found = Vec::new();
    for token in 1..=3 {
        found.extend(number(lanes.take(9)).map(|(number, _)| number));
        lanes.finish("rex", token);
    }
    assert_eq!(found, [2, 1, 3]);
}

#[test]
fn no_more_than_the_limit_is_out() {
    let mut lanes = Lanes::default();
    for (place, key) in ["a", "b", "c"].into_iter().enumerate() {
        lanes.arrive(arrival(place as u64, key));
    }
    assert!(lanes.take(2).is_some() && lanes.take(2).is_some());
    assert!(lanes.take(2).is_none());
    assert!(lanes.refuse("a", 1));
    assert!(lanes.take(2).is_some());
}

#[test]
fn a_shut_partition_hands_nothing_out_until_it_is_opened() {
    let mut lanes = filled(&[1]);
    lanes.shut(0);
    lanes.arrive(arrival(2, "bello"));
    lanes.arrive(Arrival { partition: 1, ..arrival(3, "max") });
    assert_eq!(number(lanes.take(9)), Some((3, 1)));
    assert_eq!(number(lanes.take(9)), None);
    lanes.open(0);
    let mut found = [number(lanes.take(9)).unwrap().0, number(lanes.take(9)).unwrap().0];
    found.sort_unstable();
    assert_eq!(found, [1, 2]);
}

#[test]
fn a_partition_that_is_shut_runs_dry() {
    let mut lanes = filled(&[1, 2]);
    lanes.arrive(arrival(3, "bello"));
    let (rex, bello) = (lanes.take(9).unwrap(), lanes.take(9).unwrap());
    lanes.shut(0);
    assert!(lanes.finish("rex", rex.token) && lanes.refuse("bello", bello.token));
    lanes.arrive(arrival(3, "bello"));
    assert_eq!(number(lanes.take(9)), None);
    assert!(!lanes.is_out(0));
    lanes.open(0);
    assert!(lanes.take(9).is_some() && lanes.take(9).is_some());
}

#[test]
fn what_a_partition_had_is_forgotten() {
    let mut lanes = filled(&[1, 2]);
    lanes.arrive(arrival(3, "away"));
    lanes.arrive(Arrival { handle: "behind", ..arrival(4, "away") });
    lanes.arrive(Arrival { partition: 1, handle: "other", ..arrival(5, "max") });
    let (rex, away) = (lanes.take(9).unwrap(), lanes.take(9).unwrap());
    assert!(lanes.refuse("away", away.token));
    assert!(lanes.is_out(0) && !lanes.is_out(1));
    #[cfg(feature = "nats")]
    {
        let mut here = lanes.here();
        here.sort_unstable();
        assert_eq!(here, ["behind", "first", "first", "other"]);
    }
    let mut handles = lanes.forget(0);
    handles.sort_unstable();
    assert_eq!(handles, ["behind", "first", "first"], "what was refused is not settled");
    assert_eq!(lanes.held("rex", rex.token), None);
    assert!(!lanes.finish("rex", rex.token) && !lanes.refuse("rex", rex.token));
    assert_eq!(lanes.out, 0);
    assert_eq!(number(lanes.take(1)), Some((5, 3)));
}
