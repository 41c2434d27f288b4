//! The service, as the platform runs it.

use kennel_service::{Context, NoCommand, Service, Uses, Worker};

use crate::config::{MarketSimulatorConfig, SimulatorConfig};
use crate::server::SimulatorServer;

/// Exchanges that do not exist.
#[derive(Clone)]
pub struct MarketSimulator(SimulatorConfig);

impl Service for MarketSimulator {
    const NAME: &'static str = "market-simulator";
    const ABOUT: &'static str = "Exchanges that do not exist: seeded trades in the frames of real venues, with faults";
    const USES: Uses = Uses::NONE;
    const CONTRACTS: &'static str = "market/simulator";

    type State = Self;
    type Config = MarketSimulatorConfig;
    type Command = NoCommand;

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        Ok(Self(cx.config.simulator.clone()))
    }

    async fn workers(&self, cx: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        Ok(vec![Worker::new(SimulatorServer::new(self.0.clone(), cx.clock()))])
    }
}
