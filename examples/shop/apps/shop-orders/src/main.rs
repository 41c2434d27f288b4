//! The `shop-orders` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_orders::App>(kennel_service::build_info!("shop-orders"))
}
