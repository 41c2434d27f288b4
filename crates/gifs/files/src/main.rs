//! The `gif-files` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<gif_files::GifFiles>(kennel_service::build_info!("gif-files"))
}
