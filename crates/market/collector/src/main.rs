//! The `market-data-collector` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<market_data_collector::MarketDataCollector>(kennel_service::build_info!(
        "market-data-collector"
    ))
}
