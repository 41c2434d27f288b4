//! The `notes` program.

fn main() -> std::process::ExitCode {
    kennel_service::main::<notes::Notes>(kennel_service::build_info!("notes"))
}
