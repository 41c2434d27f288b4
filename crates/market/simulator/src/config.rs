//! Settings of the simulator.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use kennel_config::{HumanDuration, Problems, Reader, Section, Settings};
use market_domain::Symbol;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Faults;

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct MarketSimulatorConfig {
    /// The exchanges.
    pub simulator: SimulatorConfig,
}

impl Settings for MarketSimulatorConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { simulator: reader.section() }
    }
}

/// The simulated exchanges.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SimulatorConfig {
    /// The address to listen on: by default, only programs on this machine reach it.
    pub simulator_host: IpAddr,
    /// The port of all venues, with WebSocket and REST at `/binance`, `/coinbase` and `/kraken`.
    pub simulator_port: u16,
    /// The symbols of every venue, separated by commas.
    pub simulator_symbols: String,
    /// What the trades and the faults are drawn from: the same seed gives the same ones.
    pub simulator_seed: u64,
    /// The average time between two trades of a symbol, by the clock of the exchange.
    pub simulator_interval: HumanDuration,
    /// How many times faster the clock of the exchange is while it is behind the real time.
    pub simulator_speed: u32,
    /// How far behind the real time the clock of the exchange starts.
    pub simulator_start_ago: HumanDuration,
    /// A file with the time at which the exchanges opened for the first time, which is created if it does not exist.
    /// Exchanges that are started again have gone on meanwhile, so that trades have the ids that they had before. Without
    /// it, each start begins anew, with the same ids for other trades.
    pub simulator_start_file: Option<PathBuf>,
    /// Number of trades of each symbol; 0 for no limit.
    pub simulator_trades: u64,
    /// Of 1,000 trades, how many a connection loses.
    pub simulator_drop: u32,
    /// Of 1,000 trades, how many a connection sends twice.
    pub simulator_double: u32,
    /// Of 1,000 trades, how many a connection sends after the next one.
    pub simulator_reorder: u32,
    /// Of 1,000 trades, how many a connection sends five trades late.
    pub simulator_late: u32,
    /// After how many trades a connection is closed; 0 for never.
    pub simulator_cut_after: u64,
    /// How old a connection may be, as the 24 hours of Binance.
    pub simulator_lifetime: HumanDuration,
    /// Which requests for missing trades are refused with 429: every one of this number; 0 for none.
    pub simulator_refuse_every: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            simulator_host: Ipv4Addr::LOCALHOST.into(),
            simulator_port: 8095,
            simulator_symbols: "BTC-USD,ETH-USD".to_owned(),
            simulator_seed: 1,
            simulator_interval: HumanDuration::from_millis(250),
            simulator_speed: 60,
            simulator_start_ago: HumanDuration::from_mins(20),
            simulator_start_file: None,
            simulator_trades: 0,
            simulator_drop: 2,
            simulator_double: 2,
            simulator_reorder: 2,
            simulator_late: 2,
            simulator_cut_after: 5_000,
            simulator_lifetime: HumanDuration::from_hours(24),
            simulator_refuse_every: 0,
        }
    }
}

impl SimulatorConfig {
    /// The symbols; those that are not valid are left out, which [`Section::check`] reports.
    pub fn symbols(&self) -> Vec<Symbol> {
        self.simulator_symbols.split(',').filter_map(|symbol| symbol.trim().parse().ok()).collect()
    }

    /// The script of a connection.
    pub const fn faults(&self) -> Faults {
        Faults {
            drop: self.simulator_drop,
            double: self.simulator_double,
            reorder: self.simulator_reorder,
            late: self.simulator_late,
        }
    }
}

impl Section for SimulatorConfig {
    const TITLE: &'static str = "Simulated exchanges";

    fn check(&self, problems: &mut Problems) {
        if self.simulator_symbols.split(',').any(|symbol| symbol.trim().parse::<Symbol>().is_err()) {
            problems.add("simulator_symbols", "must be symbols such as `BTC-USD`, separated by commas");
        }
        problems.check_not_zero("simulator_interval", self.simulator_interval);
        problems.check_range("simulator_speed", self.simulator_speed, 1..=1_000_000);
        for (key, rate) in [
            ("simulator_drop", self.simulator_drop),
            ("simulator_double", self.simulator_double),
            ("simulator_reorder", self.simulator_reorder),
            ("simulator_late", self.simulator_late),
        ] {
            problems.check_range(key, rate, 0..=250);
        }
    }
}
