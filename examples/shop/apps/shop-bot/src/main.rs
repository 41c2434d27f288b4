//! The `shop-bot` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_bot::App>(kennel_service::build_info!("shop-bot"))
}
