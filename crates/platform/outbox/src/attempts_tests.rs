use super::*;

/// Runs a process until it calls the handler for event 1, which terminates it; false when `all` events are settled
/// first.
async fn terminated_by_the_first(setup: &Setup, all: usize) -> bool {
    let handler = Scripted::new(|id, _| if id == 1 { Reaction::Hang } else { Reaction::Slow });
    let consumer = Box::new(setup.consumer(&handler));
    let settled = || setup.broker.settled().len() >= all;
    tokio::select! {
        ended = consumer.run(Stop::new()) => panic!("{ended:?}"),
        () = eventually("called or settled", || handler.calls(1) > 0 || settled()) => {}
    }
    handler.calls(1) > 0
}

#[tokio::test(start_paused = true)]
async fn an_event_that_terminates_the_process_becomes_a_dead_letter_and_concurrent_ones_do_not() {
    let setup = setup();
    for (id, key) in [(1, "rex"), (2, "bella"), (3, "max")] {
        setup.send([id], key);
    }
    let mut terminations = 0;
    while terminated_by_the_first(&setup, 3).await {
        terminations += 1;
        assert!(terminations <= setup.config.max_attempts + 1, "too many attempts");
    }
    assert_eq!(terminations, setup.config.max_attempts + 1, "the first is not counted, so that no event costs a write");
    let settled = setup.broker.settled();
    let reason = "the process terminated during each attempt to handle the event";
    assert!(settled.contains(&Settled::Dead(1, 3, reason.to_owned())), "{settled:?}");
    assert!(settled.contains(&Settled::Ack(2)) && settled.contains(&Settled::Ack(3)), "{settled:?}");

    setup.send([1], "rex");
    assert!(!terminated_by_the_first(&setup, 4).await, "a duplicate is skipped");
    setup.inbox.forget("thumbnails", event(1, "rex").id).await.unwrap();
    setup.send([1], "rex");
    assert!(terminated_by_the_first(&setup, 5).await, "a replay has all attempts again");
}

#[tokio::test(start_paused = true)]
async fn deliveries_without_a_handler_call_are_not_attempts() {
    let setup = setup();
    let handler = Scripted::new(|_, call| if call < 3 { Reaction::Retry } else { Reaction::Done });
    run_alongside(setup.consumer(&handler), async {
        // Prefetched by processes that another event terminated.
        setup.broker.send_again(event(1, "rex"), 17);
        setup.until_settled(3).await;
    })
    .await;
    assert_eq!(setup.broker.acks(), [1]);
}

#[tokio::test(start_paused = true)]
async fn events_from_before_this_process_or_from_the_future_are_counted_before_the_handler_call() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    sleep(Duration::from_secs(1)).await;
    let consumer = setup.consumer(&handler);
    let at = |id, millis| Event { time: kennel_core::Timestamp::from_millis(millis).unwrap(), ..event(id, "rex") };
    run_alongside(consumer, async {
        for event in [at(1, -1), at(2, 0), at(3, 900), at(4, 60_000)] {
            setup.broker.send(event);
        }
        setup.until_settled(4).await;
    })
    .await;
    let mut counts = Vec::new();
    for id in 1..=4 {
        counts.push(setup.inbox.attempts("thumbnails", event(id, "rex").id).await.unwrap());
    }
    assert_eq!(counts, [1, 0, 0, 1]);
}
