//! Benchmarks of the path of trades. Compare the figures within one run: absolute ones depend on the machine.
//!
//! `cargo bench -p market-pipeline` measures one core of a collector: frames of Binance are parsed, normalised and encoded as
//! events. With `--features postgres,kafka`, and servers in `TEST_POSTGRES_DSN` and `TEST_KAFKA_BROKERS`, it also measures the
//! preprocessor, from Kafka to candles in `PostgreSQL`. `TRADES` is the number of trades, `SYMBOLS` that of instruments.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[cfg(all(feature = "postgres", feature = "kafka"))]
mod candles;
mod frames;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    frames::run();
    #[cfg(all(feature = "postgres", feature = "kafka"))]
    candles::run();
}
