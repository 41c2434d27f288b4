//! The `shop-billing` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_billing::App>(kennel_service::build_info!("shop-billing"))
}
