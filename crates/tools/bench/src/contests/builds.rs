//! What a build costs that nobody uses yet: its start and its memory. With all backends, and with the default features.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kennel_loadgen::{get, median, post, send};
use serde_json::Value;

use super::{MANY, Setup};
use crate::contest::{self, Contestant, Score};
use crate::service::Running;

/// Starts per round.
const STARTS: u32 = 5;
/// How long a process is idle before its memory is read.
const IDLE: Duration = Duration::from_secs(1);
/// A page of a list in the load.
const PAGE: &str = "/api/v1/dogs?limit=50";

pub(super) fn start(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let mut took: Vec<Vec<Duration>> = builds(setup).map(|_| Vec::new()).collect();
    for _ in 0..setup.rounds.count * STARTS {
        for ((_, program), took) in builds(setup).zip(&mut took) {
            took.push(Running::service(program, &[])?.start_time);
        }
    }
    let scores = builds(setup).zip(took).map(|((name, program), took)| {
        let idle = Running::service(program, &[])?;
        sleep(IDLE);
        let longest = took.iter().max().copied().unwrap_or_default();
        let median = Duration::from_secs_f64(median(took.iter().map(Duration::as_secs_f64).collect()));
        anyhow::Ok(Score { name: name.to_owned(), rate: None, latency: Some((median, longest)), memory: idle.memory() })
    });
    scores.collect::<anyhow::Result<_>>().map(Some)
}

pub(super) fn load(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let contestant = |(name, program)| {
        let dogs = Running::service(program, &[])?;
        let create = post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#);
        let created = send(dogs.http, &create)?;
        ensure!(created.status == 201, "create: {}", String::from_utf8_lossy(&created.body));
        let dog: Value = serde_json::from_slice(&created.body)?;
        let read = get(&format!("/api/v1/dogs/{}", dog["id"].as_str().context("a dog has an id")?));
        anyhow::Ok(Contestant::http(name, dogs, vec![read, get(PAGE), create], MANY))
    };
    let contestants: anyhow::Result<Vec<_>> = builds(setup).map(contestant).collect();
    contest::run(contestants?, setup.rounds).map(Some)
}

fn builds(setup: &Setup) -> impl Iterator<Item = (&'static str, &Path)> {
    let embedded = setup.embedded.as_deref().map(|program| ("dogs, default features", program));
    [("dogs, all backends", &*setup.service)].into_iter().chain(embedded)
}
