//! Handlers that fail.

use super::*;

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_delays() {
    let setup = setup();
    let handler = Scripted::new(|_, call| if call < 3 { Reaction::Retry } else { Reaction::Done });
    let settled = run_alongside(setup.consumer(&handler), async {
        setup.send([1], "rex");
        setup.until_settled(3).await
    })
    .await;
    let [Settled::Nack(1, first), Settled::Nack(1, second), Settled::Ack(1)] = settled[..] else {
        panic!("{settled:?}");
    };
    let millis = Duration::from_millis;
    assert!(first >= millis(100) && first <= millis(200), "{first:?}");
    assert!(second >= millis(200) && second <= millis(400), "{second:?}");
    assert_eq!((setup.counted(Outcome::Retry), setup.counted(Outcome::Ok)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_becomes_a_dead_letter_after_the_maximum_of_attempts() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Retry);
    let settled = run_alongside(setup.consumer(&handler), async {
        setup.send([1], "rex");
        setup.until_settled(3).await
    })
    .await;
    let reason = "event cannot be handled now: storage is unavailable: no disk";
    assert_eq!(settled[2], Settled::Dead(1, 3, reason.to_owned()));
    assert_eq!((handler.calls(1), setup.counted(Outcome::DeadLetter)), (3, 1));
    assert!(setup.inbox.seen("thumbnails", event(1, "rex").id).await.unwrap(), "a copy would be tried again");
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_dependency_uses_up_no_attempts_and_pauses() {
    let mut setup = setup();
    setup.config.concurrency = 2;
    let (began, outage) = (Instant::now(), Duration::from_mins(5));
    let handler = Scripted::new(move |id, _| match id {
        _ if began.elapsed() < outage => Reaction::Unavailable,
        1 => Reaction::Retry,
        _ => Reaction::Done,
    });
    run_alongside(setup.consumer(&handler), async {
        for id in 1..=20 {
            setup.send([id], &format!("k{id}"));
        }
        sleep(outage).await;
        assert!((60..300).contains(&handler.order().len()), "{} calls", handler.order().len());
        assert_eq!(setup.broker.acks(), [0_u128; 0]);
        let before = handler.calls(1);
        let is_over = || setup.broker.acks().len() == 19 && setup.counted(Outcome::DeadLetter) == 1;
        eventually("everything is handled", is_over).await;
        assert!(began.elapsed() < outage + Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(handler.calls(1), before + 3, "all attempts were left");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_an_unavailable_dependency() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Unavailable);
    let began = run_alongside(setup.consumer(&handler), async {
        setup.send([1], "rex");
        eventually("the pauses are long", || handler.calls(1) == 8).await;
        Instant::now()
    })
    .await;
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_becomes_a_dead_letter_immediately() {
    let setup = setup();
    let handler = Scripted::new(|id, _| if id == 1 { Reaction::Permanent } else { Reaction::Done });
    let settled = run_alongside(setup.consumer(&handler), async {
        setup.send([1, 2], "rex");
        setup.until_settled(2).await
    })
    .await;
    assert_eq!(settled[0], Settled::Dead(1, 1, "event cannot be handled: not a picture".to_owned()));
    assert_eq!(settled[1], Settled::Ack(2));
}

#[tokio::test(start_paused = true)]
async fn panics_and_timeouts_count_as_failures() {
    let setup = setup();
    let handler = Scripted::new(|id, _| match id {
        1 => Reaction::Panic,
        2 => Reaction::Hang,
        _ => Reaction::Done,
    });
    let settled = run_alongside(setup.consumer(&handler), async {
        setup.send([1], "rex");
        setup.send([2], "bella");
        setup.send([4], "luna");
        setup.until_settled(7).await
    })
    .await;
    let dead = |id: u128, text: &str| {
        settled
            .iter()
            .any(|settled| matches!(settled, Settled::Dead(dead, 3, reason) if *dead == id && reason.contains(text)))
    };
    assert!(dead(1, "the bowl is empty"), "{settled:?}");
    assert!(dead(2, "elapsed"), "{settled:?}");
    assert_eq!(setup.broker.acks(), [4]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_inbox_never_creates_a_dead_letter() {
    let setup = setup();
    setup.inbox.failing.store(8, Ordering::SeqCst);
    let handler = Scripted::new(|_, _| Reaction::Done);
    let settled = run_alongside(setup.consumer(&handler), async {
        setup.send([1], "rex");
        eventually("acknowledged", || setup.broker.acks() == [1]).await;
        setup.broker.settled()
    })
    .await;
    assert_eq!((settled.len(), handler.calls(1)), (9, 1));
}
