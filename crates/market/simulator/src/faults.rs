//! What happens to trades between an exchange and its client.

use market_domain::Trade;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How many trades later a late one is sent.
const LATE_BY: usize = 5;

/// How many of 1,000 trades have each fault. A trade has at most one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Lost.
    pub drop: u32,
    /// Sent twice.
    pub double: u32,
    /// Sent after the next one.
    pub reorder: u32,
    /// Sent five trades late.
    pub late: u32,
}

/// The faults of one connection, drawn from a seed.
#[derive(Debug)]
pub(crate) struct Script {
    faults: Faults,
    random: StdRng,
    /// Trades to be sent later, with the number of trades before them.
    held: Vec<(usize, Trade)>,
}

impl Script {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, random: StdRng::seed_from_u64(seed), held: Vec::new() }
    }

    /// The trades to send when this one happens.
    pub(crate) fn pass(&mut self, trade: Trade) -> Vec<Trade> {
        let Faults { drop, double, reorder, late } = self.faults;
        let drawn = self.random.random_range(0..1_000);
        let delay = if drawn < drop + double {
            None
        } else if drawn < drop + double + reorder {
            Some(1)
        } else if drawn < drop + double + reorder + late {
            Some(LATE_BY)
        } else {
            None
        };
        if let Some(delay) = delay {
            self.held.push((delay, trade));
            return Vec::new();
        }
        let copies = if drawn < drop { 0 } else { 1 + usize::from(drawn < drop + double) };
        let mut sent = vec![trade; copies];
        self.held.iter_mut().for_each(|(left, _)| *left -= 1);
        sent.extend(self.held.extract_if(.., |(left, _)| *left == 0).map(|(_, trade)| trade));
        sent
    }

    /// The trades that are still held, at the end of all trades.
    pub(crate) fn flush(&mut self) -> Vec<Trade> {
        self.held.drain(..).map(|(_, trade)| trade).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::ledger::tests::ledger;

    #[test]
    fn every_fault_happens_and_the_same_seed_gives_the_same_ones() {
        let (ledger, instrument) = ledger(5_000);
        let trades = ledger.between(&instrument, 0, i64::MAX, usize::MAX);
        let faults = Faults { drop: 20, double: 20, reorder: 20, late: 20 };
        let run = |seed| {
            let mut script = Script::new(faults, seed);
            let mut sent: Vec<_> = trades.iter().cloned().flat_map(|trade| script.pass(trade)).collect();
            sent.extend(script.flush());
            sent.into_iter().map(|trade| trade.id).collect::<Vec<_>>()
        };
        let sent = run(1);
        assert_eq!(sent, run(1));
        assert_ne!(sent, run(2));
        let mut counts = HashMap::new();
        for id in &sent {
            *counts.entry(id).or_insert(0) += 1;
        }
        let (lost, doubled) = (5_000 - counts.len(), counts.values().filter(|count| **count == 2).count());
        let back = sent.windows(2).filter(|pair| pair[1] < pair[0]).count();
        for count in [lost, doubled, back / 2] {
            assert!((60..140).contains(&count), "{lost} lost, {doubled} doubled, {back} back");
        }
    }
}
