//! Reads from the memory cache.

use anyhow::{Context as _, ensure};
use kennel_loadgen::{get, post, send};
use serde_json::Value;

use super::{MANY, Setup};
use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Score};
use crate::service::Running;

pub(super) fn read(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let dogs = Running::service(&setup.service, &[])?;
    let created = send(dogs.http, &post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#))?;
    ensure!(created.status == 201, "create: {}", String::from_utf8_lossy(&created.body));
    let dog: Value = serde_json::from_slice(&created.body)?;
    let requests = vec![get(&format!("/api/v1/dogs/{}", dog["id"].as_str().context("a dog has an id")?))];
    let bare = Running::baseline(&Baseline::Axum { body: String::from_utf8(created.body)? })?;
    let contestants = vec![
        Contestant::http("dogs", dogs, requests.clone(), MANY),
        Contestant::http("axum, the same bytes", bare, requests, MANY),
    ];
    contest::run(contestants, setup.rounds).map(Some)
}
