use std::time::Duration;

use super::*;

type Queues = KeyQueues<u8, u32>;

/// Returns queues of partition 0 with these items.
fn queues(items: &[(&str, u32)]) -> Queues {
    let mut queues = Queues::default();
    for (key, item) in items {
        queues.push(0, (*key).to_owned(), *item);
    }
    queues
}

fn claim(queues: &mut Queues) -> (Claim<u8>, u32) {
    let (claim, item) = queues.claim(Instant::now()).unwrap();
    (claim, *item)
}

fn is_idle(queues: &mut Queues) -> bool {
    queues.claim(Instant::now()).is_none()
}

/// Claims and completes everything; returns the items.
fn drain(queues: &mut Queues) -> Vec<u32> {
    let mut items = Vec::new();
    while let Some((claim, _)) = queues.claim(Instant::now()) {
        items.extend(queues.complete(&claim));
    }
    items
}

#[test]
fn a_key_is_sequential_and_keys_are_independent() {
    let mut queues = queues(&[("rex", 1), ("rex", 2), ("bella", 3)]);
    let ((rex, first), (bella, other)) = (claim(&mut queues), claim(&mut queues));
    assert_eq!((first, other, queues.len(), queues.claimed_keys()), (1, 3, 3, 2));
    assert!(is_idle(&mut queues));
    assert_eq!(queues.complete(&rex), Some(1));
    assert_eq!(queues.complete(&rex), None, "that claim has ended");
    let (rex, second) = claim(&mut queues);
    assert_eq!(second, 2);
    assert_eq!((queues.complete(&rex), queues.complete(&bella)), (Some(2), Some(3)));
    assert!(queues.is_empty() && queues.claimed_keys() == 0 && queues.ready.is_empty());
    assert!(queues.partitions[&0].queues.is_empty(), "no memory of completed keys");
}

#[test]
fn ready_keys_are_claimed_in_turn() {
    let mut queues = queues(&[("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)]);
    assert_eq!(drain(&mut queues), [1, 4, 6, 2, 5, 3]);
}

#[test]
fn a_released_item_precedes_later_ones_of_its_key() {
    let mut queues = queues(&[("rex", 1), ("rex", 2)]);
    let (first, _) = claim(&mut queues);
    *queues.release(&first, None).unwrap() = 10;
    assert!(queues.release(&first, None).is_none() && queues.complete(&first).is_none());
    assert_eq!(queues.claimed_keys(), 0);
    assert_eq!(drain(&mut queues), [10, 2]);
}

#[test]
fn a_delay_blocks_only_its_key() {
    let (mut queues, now) = (queues(&[("rex", 1), ("rex", 2), ("bella", 3)]), Instant::now());
    let (first, _) = claim(&mut queues);
    let due = now + Duration::from_mins(1);
    queues.release(&first, Some(due)).unwrap();
    assert_eq!(queues.next_due(), Some(due));
    assert_eq!(drain(&mut queues), [3]);
    assert!(queues.claim(due.checked_sub(Duration::from_millis(1)).unwrap()).is_none());
    let (again, item) = queues.claim(due).unwrap();
    assert_eq!(*item, 1);
    assert_eq!((queues.complete(&again), queues.next_due()), (Some(1), None));
    assert_eq!(drain(&mut queues), [2]);
}

#[test]
fn a_suspended_item_waits_for_its_redelivery() {
    let mut queues = queues(&[("rex", 1), ("rex", 2)]);
    let (first, _) = claim(&mut queues);
    assert!(queues.suspend(&first) && !queues.suspend(&first));
    queues.insert(0, "rex".to_owned(), 0, |item| *item > 0);
    assert!(is_idle(&mut queues));
    assert!(queues.redeliver(&0, "rex", |item| *item == 2, |_, has_waited| assert!(!has_waited)));
    assert!(is_idle(&mut queues), "that was a later item");
    assert!(queues.redeliver(&0, "rex", |item| *item == 1, |_, has_waited| assert!(has_waited)));
    assert_eq!(drain(&mut queues), [1, 0, 2]);
    assert!(!queues.redeliver(&0, "rex", |_| true, |_, _| {}));
    assert!(!queues.redeliver(&1, "rex", |_| true, |_, _| {}));
}

#[test]
fn a_redelivery_ends_a_delay() {
    let mut queues = queues(&[("rex", 1)]);
    let (first, _) = claim(&mut queues);
    let due = Instant::now() + Duration::from_mins(1);
    queues.release(&first, Some(due)).unwrap();
    assert!(queues.redeliver(&0, "rex", |_| true, |_, _| {}));
    let (again, _) = claim(&mut queues);
    assert!(queues.claim(due).is_none(), "the delay no longer counts");
    assert_eq!(queues.complete(&again), Some(1));
}

#[test]
fn a_redelivery_of_a_claimed_item_updates_it() {
    let mut queues = queues(&[("rex", 1)]);
    let (first, _) = claim(&mut queues);
    assert!(queues.redeliver(&0, "rex", |_| true, |item, _| *item = 7));
    assert!(is_idle(&mut queues));
    assert_eq!(queues.get(&first), Some(&7));
    assert_eq!((queues.complete(&first), queues.get(&first)), (Some(7), None));
}

#[test]
fn items_are_inserted_in_order_but_never_before_a_claimed_one() {
    let mut queues = Queues::default();
    for item in [4, 2] {
        queues.insert(0, "rex".to_owned(), item, |other| *other > item);
    }
    let (first, item) = claim(&mut queues);
    assert_eq!(item, 2);
    for item in [1, 3] {
        queues.insert(0, "rex".to_owned(), item, |other| *other > item);
    }
    queues.complete(&first).unwrap();
    assert_eq!(drain(&mut queues), [1, 3, 4]);
}

#[test]
fn nothing_of_a_paused_partition_is_claimed() {
    let mut queues = queues(&[("rex", 1), ("rex", 2), ("bella", 3), ("max", 4)]);
    let claims = [claim(&mut queues).0, claim(&mut queues).0, claim(&mut queues).0];
    queues.pause(0);
    let due = Instant::now();
    assert!(queues.complete(&claims[0]).is_some());
    assert!(queues.release(&claims[1], None).is_some() && queues.release(&claims[2], Some(due)).is_some());
    queues.push(0, "luna".to_owned(), 5);
    queues.push(1, "luna".to_owned(), 6);
    assert_eq!(queues.claimed_in(&0), 0);
    assert_eq!(drain(&mut queues), [6]);
    queues.resume(&0);
    let mut rest = drain(&mut queues);
    rest.sort_unstable();
    assert_eq!(rest, [2, 3, 4, 5]);
    queues.resume(&0);
    assert!(is_idle(&mut queues));
}

#[test]
fn a_partition_can_be_paused_before_its_first_item() {
    let mut queues = Queues::default();
    queues.pause(0);
    queues.push(0, "rex".to_owned(), 1);
    assert!(is_idle(&mut queues));
    queues.resume(&0);
    assert_eq!(drain(&mut queues), [1]);
}

#[test]
fn a_removed_partition_leaves_nothing() {
    let mut queues = queues(&[("claimed", 1), ("claimed", 2), ("suspended", 3), ("suspended", 4), ("delayed", 5)]);
    queues.push(1, "other".to_owned(), 6);
    let [first, suspended, delayed] = std::array::from_fn(|_| claim(&mut queues).0);
    queues.suspend(&suspended);
    queues.release(&delayed, Some(Instant::now() + Duration::from_mins(1))).unwrap();
    queues.pause(0);
    assert_eq!((queues.claimed_in(&0), queues.claimed_in(&1)), (1, 0));
    let mut present: Vec<_> = queues.present().copied().collect();
    present.sort_unstable();
    assert_eq!(present, [1, 2, 4, 6]);
    let mut removed = queues.remove(&0);
    removed.sort_unstable();
    assert_eq!(removed, [1, 2, 4], "delayed and suspended items are not returned");
    assert!(queues.get(&first).is_none() && queues.complete(&first).is_none() && !queues.suspend(&first));
    assert_eq!((queues.len(), queues.claimed_keys(), queues.next_due()), (1, 0, None));
    queues.push(0, "claimed".to_owned(), 7);
    assert_eq!(drain(&mut queues), [6, 7], "it is no longer paused");
}

#[test]
fn a_key_can_be_removed_with_its_later_items() {
    let mut queues = queues(&[("rex", 1), ("rex", 2), ("bella", 3)]);
    let (first, _) = claim(&mut queues);
    queues.remove_key(&first);
    queues.remove_key(&first);
    assert_eq!((queues.len(), queues.claimed_keys()), (1, 0));
    queues.push(0, "rex".to_owned(), 4);
    assert_eq!(drain(&mut queues), [3, 4]);
}

#[test]
fn a_run_is_claimed_in_order_and_blocks_its_key_until_all_of_it_is_settled() {
    let mut queues = queues(&[("rex", 1), ("rex", 2), ("rex", 3), ("bella", 4)]);
    let (first, _) = claim(&mut queues);
    let (second, item) = queues.claim_next(&first).map(|(claim, item)| (claim, *item)).unwrap();
    assert_eq!((item, queues.claimed_keys(), queues.claimed_in(&0)), (2, 1, 2));
    assert!(queues.claim_next(&first).is_none(), "it is not the last one of the run");
    assert_eq!(queues.complete(&second), Some(2));
    assert_eq!(drain(&mut queues), [4]);
    let (third, item) = queues.claim_next(&first).map(|(claim, item)| (claim, *item)).unwrap();
    assert_eq!(item, 3);
    assert!(queues.claim_next(&third).is_none());
    queues.push(0, "rex".to_owned(), 5);
    assert_eq!((queues.complete(&first), queues.complete(&third)), (Some(1), Some(3)));
    assert!(queues.claim_next(&third).is_none());
    assert_eq!(drain(&mut queues), [5]);
}

#[test]
fn what_is_released_of_a_run_precedes_what_follows_it() {
    let (mut queues, now) = (queues(&[("rex", 1), ("rex", 2), ("rex", 3), ("rex", 4), ("rex", 5)]), Instant::now());
    let (first, _) = claim(&mut queues);
    let run: [_; 3] = {
        let mut last = first.clone();
        std::array::from_fn(|_| {
            last = queues.claim_next(&last).unwrap().0;
            last.clone()
        })
    };
    let due = now + Duration::from_mins(1);
    queues.release(&run[0], Some(due)).unwrap();
    assert!(queues.claim_next(&run[2]).is_none(), "an earlier one comes again");
    queues.release(&run[1], None).unwrap();
    assert_eq!((queues.complete(&run[2]), queues.complete(&first)), (Some(4), Some(1)));
    assert!(queues.claim(due.checked_sub(Duration::from_millis(1)).unwrap()).is_none(), "the first one left waits");
    let (second, item) = queues.claim(due).map(|(claim, item)| (claim, *item)).unwrap();
    assert_eq!((item, *queues.claim_next(&second).unwrap().1), (2, 3));
    queues.pause(0);
    assert!(queues.claim_next(&second).is_none());
    queues.resume(&0);
    assert!(is_idle(&mut queues), "the run is not settled");
    queues.remove_key(&second);
    assert_eq!((queues.len(), queues.claimed_keys()), (0, 0));
}

#[test]
fn a_delay_that_ends_during_a_run_lasts_until_its_end() {
    let (mut queues, now) = (queues(&[("rex", 1), ("rex", 2)]), Instant::now());
    let (first, _) = claim(&mut queues);
    let (second, _) = queues.claim_next(&first).map(|(claim, item)| (claim, *item)).unwrap();
    queues.release(&first, Some(now)).unwrap();
    assert!(queues.claim(now).is_none());
    assert!(queues.suspend(&second));
    assert_eq!(drain(&mut queues), [1]);
    assert!(queues.redeliver(&0, "rex", |_| true, |_, has_waited| assert!(has_waited)));
    assert_eq!(drain(&mut queues), [2]);
}

/// A long pseudo-random history in comparison with plain lists.
#[test]
fn the_order_of_each_key_survives_any_history() {
    let (mut queues, mut expected) = (Queues::default(), HashMap::<String, VecDeque<u32>>::new());
    let (mut claims, mut seed, mut now) = (Vec::new(), 1_u64, Instant::now());
    for item in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = seed >> 33;
        let key = format!("k{}", random % 7);
        queues.push(0, key.clone(), item);
        expected.entry(key).or_default().push_back(item);
        now += Duration::from_millis(1);
        while let Some((claim, item)) = queues.claim(now) {
            assert_eq!(expected[&claim.key].front(), Some(&*item));
            claims.push(claim);
        }
        if !claims.is_empty() {
            let claim = claims.swap_remove(usize::try_from(random).unwrap() % claims.len());
            match random % 5 {
                0 => drop(queues.release(&claim, None)),
                1 => drop(queues.release(&claim, Some(now + Duration::from_millis(random % 9)))),
                _ => assert_eq!(queues.complete(&claim), expected.get_mut(&claim.key).unwrap().pop_front()),
            }
        }
        assert_eq!(queues.claimed_keys(), claims.len());
        assert_eq!(queues.len(), expected.values().map(VecDeque::len).sum::<usize>());
    }
}
