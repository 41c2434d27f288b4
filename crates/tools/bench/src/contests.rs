//! The contests.

mod gifs;
mod grpc;
#[cfg(feature = "postgres")]
mod postgres;

use std::path::Path;

use anyhow::{Context as _, ensure};
use kennel_loadgen::{get, post, send};
use serde_json::Value;

use crate::baseline::Baseline;
use crate::contest::{self, ContestResult, Contestant, Rounds, Score, Work};
use crate::service::Running;

/// Their names.
pub(crate) const ALL: [&str; 7] =
    ["hot-read", "hot-read-grpc", "cold-read", "cold-read-few", "create", "cached-search", "gif-file"];

/// Clients of a busy service.
const MANY: usize = 64;

/// Runs a contest; `None` if this machine or this build does not have what it needs; see [`needs`].
pub(crate) fn run(name: &'static str, service: &Path, rounds: Rounds) -> anyhow::Result<Option<ContestResult>> {
    let what = match name {
        "hot-read-grpc" => "The same over gRPC, load by h2load",
        "hot-read" => "Read one dog that the memory cache has, SQLite, 64 clients",
        "cold-read" => "Read random dogs without a cache, PostgreSQL, 64 clients",
        "cold-read-few" => "Read random dogs without a cache, PostgreSQL, 4 clients",
        "cached-search" => "Search for GIFs, answered from the memory cache, 64 clients",
        "gif-file" => "Download a GIF of 200 KB from disk, 64 clients; nginx as one process",
        _ => "Create a dog with its event, PostgreSQL, 64 clients",
    };
    let scores = match name {
        "hot-read" => Some(hot(service, rounds)?),
        "hot-read-grpc" => grpc::hot(service, MANY, rounds)?,
        "cached-search" => gifs::search(service, rounds)?,
        "gif-file" => gifs::file(service, rounds)?,
        _ => with_postgres(name, service, rounds)?,
    };
    Ok(scores.map(|scores| ContestResult { name, what, scores }))
}

/// What a contest needs that a machine or a build may not have.
pub(crate) fn needs(name: &str) -> &'static str {
    match name {
        "hot-read-grpc" => "it needs h2load, in Debian's nghttp2-client",
        "cached-search" => "it needs gif-pipeline in the folder of dogs",
        "gif-file" => "it needs gif-pipeline in the folder of dogs, and TEST_NGINX",
        _ => "it needs TEST_POSTGRES_DSN and a build with the feature `postgres`",
    }
}

#[cfg(feature = "postgres")]
fn with_postgres(name: &str, service: &Path, rounds: Rounds) -> anyhow::Result<Option<Vec<Score>>> {
    use self::postgres::Kind;
    /// Clients that leave the database idle at times.
    const FEW: usize = 4;
    match name {
        "cold-read" => postgres::run(service, MANY, rounds, Kind::Read),
        "cold-read-few" => postgres::run(service, FEW, rounds, Kind::Read),
        _ => postgres::run(service, MANY, rounds, Kind::Create),
    }
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the function with the driver")]
fn with_postgres(_: &str, _: &Path, _: Rounds) -> anyhow::Result<Option<Vec<Score>>> {
    Ok(None)
}

fn hot(service: &Path, rounds: Rounds) -> anyhow::Result<Vec<Score>> {
    let dogs = Running::service(service, &[])?;
    let created = send(dogs.http, &post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#))?;
    ensure!(created.status == 201, "create: {}", String::from_utf8_lossy(&created.body));
    let dog: Value = serde_json::from_slice(&created.body)?;
    let requests = vec![get(&format!("/api/v1/dogs/{}", dog["id"].as_str().context("a dog has an id")?))];
    let bare = Running::baseline(&Baseline::Axum { body: String::from_utf8(created.body)? })?;
    let contestants = [
        Contestant { name: "dogs", work: Work::Http { process: dogs, requests: requests.clone() } },
        Contestant { name: "axum, the same bytes", work: Work::Http { process: bare, requests } },
    ];
    contest::run(&contestants, MANY, rounds)
}
