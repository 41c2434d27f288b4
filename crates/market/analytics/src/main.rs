//! The `analytics-api` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<analytics_api::AnalyticsApi>(kennel_service::build_info!("analytics-api"))
}
