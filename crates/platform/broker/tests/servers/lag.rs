//! The lag of a broker's groups, for the conformance suite.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_broker::Broker;
use kennel_testkit::conformance::broker::LagReader;

pub(crate) struct BrokerLag(pub(crate) Arc<dyn Broker>);

#[async_trait]
impl LagReader for BrokerLag {
    async fn of_group(&self, group: &str) -> u64 {
        let lags = self.0.lag().await.expect("the broker reports its lag");
        lags.iter().filter(|lag| lag.group == group).map(|lag| lag.events).sum()
    }
}
