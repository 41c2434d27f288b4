//! Measures the import speed of a store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use dogs_domain::ports::ImportBatch;
use dogs_domain::{Dog, DogImports};

use crate::support::{at, dog, event};

const BATCH: u128 = 4_000;

/// Imports this number of dogs; returns the elapsed time.
pub(crate) async fn import(dogs: &dyn DogImports, rows: u128) -> Duration {
    let mut elapsed = Duration::ZERO;
    for first in (0..rows).step_by(usize::try_from(BATCH).unwrap()) {
        let row = |number| Dog {
            breed: format!("breed{}", number * 7_919 % 180).parse().unwrap(),
            name: Some(format!("name {number}")),
            image_url: Some(format!("https://images.example.org/breeds/husky/{number}.jpg")),
            photo: None,
            ..dog(number << 40)
        };
        let batch = ImportBatch {
            import: "i".to_owned(),
            dogs: (first..first + BATCH).map(row).collect(),
            lines: u64::try_from(first + BATCH).unwrap(),
            digest: [0; 32],
            at: at(),
        };
        let started = Instant::now();
        dogs.import(&batch, &|_| Ok(event(first))).await.unwrap();
        elapsed += started.elapsed();
    }
    elapsed
}
