//! The market analytics in one process, with simulated exchanges. `make run-market` sets the addresses at which its services
//! find each other.

use std::process::ExitCode;

use kennel_service::{build_info, erased, main_all};

fn main() -> ExitCode {
    let services = [
        erased::<auth::Auth>(),
        erased::<market_simulator::MarketSimulator>(),
        erased::<market_preprocessor::MarketPreprocessor>(),
        erased::<analytics_api::AnalyticsApi>(),
        erased::<market_data_collector::MarketDataCollector>(),
        erased::<api_gateway::ApiGateway>(),
    ];
    main_all(&services, build_info!("market-pipeline"))
}
