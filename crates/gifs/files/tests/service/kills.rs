//! The program is killed while it works.
#![allow(dead_code, clippy::allow_attributes, reason = "whether it is used depends on the features")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gifs_contracts::{GifId, MediaStored};
use tokio::time::{Instant, sleep, timeout_at};

use crate::backends::Variables;
use crate::running::{Catalogue, Home};
use crate::upstream::Upstream;

/// GIFs that are discovered before each kill.
const BATCH: u16 = 8;
/// The time in which everything is done after the last kill.
const LIMIT: Duration = Duration::from_secs(90);
/// Nothing is published again if this passes without an answer.
const QUIET: Duration = Duration::from_secs(2);

/// Kills the program this many times, each time after another moment of work. Then every GIF has one outcome and one answer,
/// and the objects are those of the rows.
pub(crate) async fn kills(variables: &Variables, kills: u16) {
    let upstream = Upstream::start().await;
    let home = Home::new(variables);
    let mut catalogue = home.catalogue().await;
    let mut running = home.serve().await;
    let (mut gifs, mut answers) = (BTreeSet::new(), Answers::default());
    for kill in 0..kills {
        let urls: Vec<_> = (0..BATCH).map(|number| upstream.animation(kill * BATCH + number)).collect();
        gifs.extend(catalogue.discover(&urls).await);
        // Spread over the time that a batch takes, without a clock or a random number.
        sleep(Duration::from_millis(u64::from(kill) * 37 % 230)).await;
        running.process.kill();
        running.process.wait(LIMIT).await;
        running = home.serve().await;
    }
    let deadline = Instant::now() + LIMIT;
    let all = timeout_at(deadline, async {
        while answers.0.len() < gifs.len() {
            answers.receive(&mut catalogue, LIMIT).await;
        }
    });
    all.await.unwrap_or_else(|_| panic!("{} of {} gifs are answered", answers.0.len(), gifs.len()));
    while answers.receive(&mut catalogue, QUIET).await {}

    assert_eq!(answers.0.keys().copied().collect::<BTreeSet<_>>(), gifs);
    // A relay that was killed publishes an event again, with the same id.
    let doubled: Vec<_> = answers.0.iter().filter(|(_, events)| events.len() > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    running.process.terminate();
    assert!(running.process.wait(LIMIT).await.success(), "{}", running.process.output());
    let (code, output) = home.run(&["reconcile", "--grace", "0s"]).await;
    let expected = format!("{0} blobs and {1} objects compared, 0 differences", gifs.len(), gifs.len() * 2);
    assert!(code == Some(0) && output.contains(&expected), "{expected}: {output}");
}

/// The ids of the events that answered a GIF.
#[derive(Default)]
struct Answers(BTreeMap<GifId, BTreeSet<String>>);

impl Answers {
    /// Receives the next answer; false if there is none for this time.
    async fn receive(&mut self, catalogue: &mut Catalogue, limit: Duration) -> bool {
        let Some(event) = catalogue.answer(limit).await else { return false };
        let stored = event.decode::<MediaStored>().unwrap().unwrap_or_else(|| panic!("{event:?}"));
        self.0.entry(stored.id).or_default().insert(event.id.to_string());
        true
    }
}
