//! The `gif-storage` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<gif_storage::GifStorage>(kennel_service::build_info!("gif-storage"))
}
