//! Contests of the service with itself: larger tables, and more connections.

use std::sync::Arc;

use kennel_core::Cursor;
use kennel_loadgen::get;

use super::{MANY, Setup};
use crate::contest::{self, Contestant, Score};
use crate::servers::dog_id;
use crate::service::DOGS;

/// The rows of a page.
const LISTED: u32 = 50;
/// Requests that the load selects from.
const REQUESTS: u32 = 20_000;
/// A step to the next row of a request, which has no factor in common with a number of rows: rows are far apart, and differ.
const STEP: u64 = 1_000_003;
const CONNECTIONS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];

/// Reads single dogs.
pub(super) fn read(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    of_sizes(setup, read_one)
}

/// Reads pages.
pub(super) fn list(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    of_sizes(setup, |number| page_before(number, LISTED))
}

fn of_sizes(setup: &Setup, request: impl Fn(u32) -> Vec<u8>) -> anyhow::Result<Option<Vec<Score>>> {
    let mut contestants = Vec::new();
    for rows in [DOGS, setup.rows] {
        let Some(database) = setup.servers.filled(rows, &setup.service)? else { return Ok(None) };
        let dogs = database.start(&setup.service, &[])?;
        let requests = numbers(rows).map(&request).collect();
        contestants.push(Contestant::http(format!("dogs, {rows} rows"), dogs, requests, MANY));
    }
    contest::run(contestants, setup.rounds).map(Some)
}

/// Reads single dogs over different numbers of connections to one process.
pub(super) fn connections(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(database) = setup.servers.filled(DOGS, &setup.service)? else { return Ok(None) };
    let dogs = Arc::new(database.start(&setup.service, &[])?);
    let contestant = |clients| {
        let requests = numbers(DOGS).map(read_one).collect();
        Contestant::http(format!("dogs, {clients} connections"), Arc::clone(&dogs), requests, clients)
    };
    contest::run(CONNECTIONS.map(contestant).into(), setup.rounds).map(Some)
}

/// Numbers of dogs all over a table.
fn numbers(rows: u32) -> impl Iterator<Item = u32> {
    (0..u64::from(REQUESTS)).filter_map(move |n| u32::try_from(n * STEP % u64::from(rows)).ok())
}

fn read_one(number: u32) -> Vec<u8> {
    get(&format!("/api/v1/dogs/{}", dog_id(number)))
}

/// The request for the dogs below this one, the highest first.
pub(super) fn page_before(number: u32, limit: u32) -> Vec<u8> {
    get(&format!("/api/v1/dogs?limit={limit}&cursor={}", Cursor(dog_id(number))))
}
