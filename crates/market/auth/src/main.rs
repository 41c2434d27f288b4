//! The `auth` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<auth::Auth>(kennel_service::build_info!("auth"))
}
