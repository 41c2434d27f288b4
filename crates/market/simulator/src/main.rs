//! The `market-simulator` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<market_simulator::MarketSimulator>(kennel_service::build_info!("market-simulator"))
}
