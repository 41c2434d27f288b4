//! The `shop-background` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_background::App>(kennel_service::build_info!("shop-background"))
}
