//! The programs of `examples/shop` as one, for tests of several: `SHOP_PROGRAM` is the name of the one that runs. The tests are not in
//! the project itself, all of whose files are generated.

use std::process::ExitCode;

use kennel_service::{build_info, main as run};

fn main() -> ExitCode {
    match std::env::var("SHOP_PROGRAM").as_deref() {
        Ok("shop") => run::<shop::App>(build_info!("shop")),
        Ok("shop-web") => run::<shop_web::App>(build_info!("shop-web")),
        Ok("shop-rpc") => run::<shop_rpc::App>(build_info!("shop-rpc")),
        Ok("shop-orders") => run::<shop_orders::App>(build_info!("shop-orders")),
        Ok("shop-billing") => run::<shop_billing::App>(build_info!("shop-billing")),
        Ok("shop-bot") => run::<shop_bot::App>(build_info!("shop-bot")),
        Ok("shop-background") => run::<shop_background::App>(build_info!("shop-background")),
        _ => ExitCode::from(64),
    }
}
