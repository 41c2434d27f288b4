//! The `shop` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop::App>(kennel_service::build_info!("shop"))
}
