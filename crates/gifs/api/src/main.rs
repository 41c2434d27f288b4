//! The `gif-api` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<gif_api::GifApi>(kennel_service::build_info!("gif-api"))
}
