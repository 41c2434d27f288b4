//! Attempts of a batch consumer: what fails is repeated, and the rest of its batch is settled.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_follows_an_event_that_is_retried_is_not_settled_with_it() {
    for failure in [Reaction::Retry, Reaction::Unavailable] {
        let mut setup = setup();
        setup.limits.of_key = 100;
        let handler = Scripted::new(move |id, call| match id {
            2 if call == 1 => failure,
            4 => Reaction::Permanent,
            _ => Reaction::Done,
        });
        setup.send_run(1..=5);
        setup.send([6]);
        let settled = run_alongside(setup.consumer(&handler), async {
            eventually("settled", || setup.acks().len() == 5 && !dead(&setup.broker.settled()).is_empty()).await;
            setup.broker.settled()
        })
        .await;
        assert_eq!(handler.batches()[0], [1, 2, 3, 4, 5, 6]);
        assert!((2..=5).all(|id| handler.calls(id) >= 2), "the first results are ignored");
        assert_eq!(setup.acks(), [1, 2, 3, 5, 6].into());
        assert_eq!(dead(&settled), [(4, 1)]);
        assert_eq!(setup.inbox.attempts("index", event(3, "").id).await.unwrap(), 0, "that was no attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_attempt_that_may_have_ended_a_process_its_successors_are_handled_alone() {
    let mut setup = setup();
    setup.limits.of_key = 100;
    let second = event(2, "rex").id;
    setup.inbox.count_attempts("index", &[second], TestClock::new().now()).await.unwrap();
    let handler = Scripted::new(|_, _| Reaction::Recorded);
    handler.recognizes.store(true, Ordering::SeqCst);
    for id in 1..=4 {
        setup.broker.send_again(event(id, "rex"), 2);
    }
    setup.broker.send_again(event(5, "bella"), 2);
    run_alongside(setup.consumer(&handler), setup.until_settled(5)).await;
    assert_eq!(handler.batches(), [vec![1, 5], vec![2], vec![3], vec![4]]);
    for id in 2..=4 {
        assert!(setup.seen(id).await, "{id}: a further end of the process is not counted for it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_retried_and_its_neighbours_are_settled() {
    let setup = setup();
    let handler = Scripted::new(|id, call| match id {
        2 if call < 3 => Reaction::Retry,
        4 => Reaction::Retry,
        5 => Reaction::Permanent,
        _ => Reaction::Done,
    });
    setup.send(1..=6);
    let settled = run_alongside(setup.consumer(&handler), setup.until_settled(6 + 4)).await;
    assert_eq!(setup.acks(), [1, 2, 3, 6].into());
    let mut dead = dead(&settled);
    dead.sort_unstable();
    assert_eq!(dead, [(4, 3), (5, 1)]);
    assert_eq!((1..=6).map(|id| handler.calls(id)).collect::<Vec<_>>(), [1, 3, 1, 3, 1, 1]);
    assert!(setup.seen(4).await && setup.seen(5).await, "a copy would be tried again");
}

#[tokio::test(start_paused = true)]
async fn after_a_batch_fails_each_event_is_handled_alone() {
    for poison in [Reaction::Panic, Reaction::FailBatch, Reaction::Hang, Reaction::Forget] {
        let setup = setup();
        let handler = Scripted::new(move |id, _| if id == 2 { poison } else { Reaction::Done });
        setup.send(1..=4);
        let settled = run_alongside(setup.consumer(&handler), setup.until_settled(4 + 4 + 2)).await;
        assert_eq!(setup.acks(), [1, 3, 4].into());
        assert_eq!(dead(&settled), [(2, 3)], "the failed batch is no attempt");
        let batches = handler.batches();
        assert_eq!(batches[0], [1, 2, 3, 4]);
        assert!(batches[1..].iter().all(|batch| batch.len() == 1), "{batches:?}");
        assert_eq!((handler.calls(1), handler.calls(2)), (2, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_as_for_a_single_event() {
    let setup = setup();
    let handler = Scripted::new(|id, call| if id == 1 && call == 1 { Reaction::Retry } else { Reaction::Done });
    run_alongside(setup.consumer(&handler), async {
        // From before the start, so it may be a repetition; the others are new.
        let old = kennel_core::Timestamp::from_millis(-1).unwrap();
        setup.broker.send(Event { time: old, ..event(3, "k3") });
        setup.send([1, 2]);
        setup.until_settled(4).await;
    })
    .await;
    let mut counts = Vec::new();
    for id in 1..=3 {
        counts.push(setup.inbox.attempts("index", event(id, "").id).await.unwrap());
    }
    assert_eq!(counts, [2, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_may_have_ended_a_process_is_handled_alone() {
    let setup = setup();
    let ids: Vec<_> = (1..=3).map(|id| event(id, "").id).collect();
    setup.inbox.count_attempts("index", &ids[..1], TestClock::new().now()).await.unwrap();
    let handler = Scripted::new(|_, _| Reaction::Done);
    for id in 1..=3 {
        setup.broker.send_again(event(id, &format!("k{id}")), 2);
    }
    run_alongside(setup.consumer(&handler), setup.until_settled(3)).await;
    assert_eq!(handler.batches(), [vec![2, 3], vec![1]]);
    assert_eq!(setup.inbox.attempts("index", ids[0]).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_inbox_never_creates_a_dead_letter() {
    let setup = setup();
    setup.inbox.failing.store(12, Ordering::SeqCst);
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send(1..=3);
    run_alongside(setup.consumer(&handler), async {
        eventually("acknowledged", || setup.acks() == [1, 2, 3].into()).await;
    })
    .await;
    assert!(dead(&setup.broker.settled()).is_empty());
    assert!(setup.seen(1).await && setup.seen(2).await && setup.seen(3).await);
}
