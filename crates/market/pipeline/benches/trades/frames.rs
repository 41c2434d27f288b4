//! A collector, without its sockets and its broker.

use std::hint::black_box;
use std::time::Instant;

use kennel_core::{Event, Timestamp};
use market_contracts::TradeReported;
use market_domain::{Micros, Symbol, Trade, Venue};
use market_venues::{Incoming, Symbols, adapter};

use crate::setting;

const ROUNDS: usize = 9;

/// A trade of Binance, as it is sent.
fn frame(symbol: &Symbol, id: usize) -> String {
    let (spelling, time) = (adapter(Venue::Binance).spell(symbol), 1_700_000_000_000_000 + id * 1_000);
    let (cents, units, is_maker) = (10_594_420 + id % 977, 1_000 + id * 7_919 % 99_991, id.is_multiple_of(2));
    let (price, size) = (format!("{}.{:02}000000", cents / 100, cents % 100), format!("0.{units:08}"));
    format!(
        r#"{{"e":"trade","E":{time},"s":"{spelling}","t":{id},"p":"{price}","q":"{size}","T":{time},"m":{is_maker},"M":true}}"#
    )
}

fn encode(trade: &Trade) -> Event {
    let time = Timestamp::from_millis(trade.time.0 / 1_000).unwrap();
    Event::new(TradeReported::event_id(trade), "/bench", time, &TradeReported::from(trade)).unwrap()
}

pub(crate) fn run() {
    let (count, names) = (setting("TRADES", 300_000), setting("SYMBOLS", 20));
    let all: Vec<Symbol> = (0..names).map(|n| format!("A{n}-USDT").parse().unwrap()).collect();
    let symbols = Symbols::new(adapter(Venue::Binance), all.iter().cloned());
    let frames: Vec<_> = (0..count).map(|id| frame(&all[id % all.len()], id)).collect();
    let read = |frame: &str| adapter(Venue::Binance).read(&symbols, frame, Micros(1)).unwrap();
    report("parse and normalise", count, || frames.iter().for_each(|frame| drop(black_box(read(frame)))));
    report("parse, normalise and encode", count, || {
        for frame in &frames {
            for incoming in read(frame) {
                let Incoming::Trade(trade) = incoming else { panic!("not a trade") };
                black_box(encode(&trade));
            }
        }
    });
}

/// Prints the median rate of several rounds.
fn report(name: &str, count: usize, mut work: impl FnMut()) {
    let mut rates: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            #[expect(clippy::cast_precision_loss, reason = "it is printed")]
            let rate = count as f64 / started.elapsed().as_secs_f64();
            rate
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{name}: {:.0} trades/s on one core ({:.0} to {:.0})", rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1]);
}
