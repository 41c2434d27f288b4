//! The `«app»` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<«app_ident»::App>(kennel_service::build_info!("«app»"))
}
