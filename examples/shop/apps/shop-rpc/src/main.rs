//! The `shop-rpc` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_rpc::App>(kennel_service::build_info!("shop-rpc"))
}
