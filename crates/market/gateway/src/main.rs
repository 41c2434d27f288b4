//! The `api-gateway` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<api_gateway::ApiGateway>(kennel_service::build_info!("api-gateway"))
}
