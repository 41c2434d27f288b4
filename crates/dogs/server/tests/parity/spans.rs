//! The same run gives the same spans.

use crate::golden;
use crate::pair::Pair;
use crate::scenario::{Told, told};

pub async fn check(pair: Pair, run: &Told) {
    if let Some(outcome) = told(pair, run).await {
        golden::hold(pair, "spans.txt", &outcome.spans);
    }
}
