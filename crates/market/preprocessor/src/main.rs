//! The `market-preprocessor` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<market_preprocessor::MarketPreprocessor>(kennel_service::build_info!("market-preprocessor"))
}
