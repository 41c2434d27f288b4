//! The `shop-web` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<shop_web::App>(kennel_service::build_info!("shop-web"))
}
