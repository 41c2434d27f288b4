//! The `shop-tool` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_tool::App>(kennel_service::build_info!("shop-tool"))
}
