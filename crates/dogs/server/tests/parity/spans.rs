//! The scenario produces the same spans.

use crate::golden;
use crate::pair::Pair;
use crate::scenario::{SharedRun, outcome};

pub async fn check(pair: Pair, run: &SharedRun) {
    if let Some(outcome) = outcome(pair, run).await {
        golden::check(pair, "spans.txt", &outcome.spans);
    }
}
