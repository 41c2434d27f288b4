//! The `dogs` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    kennel_service::main::<dogs::Dogs>(kennel_service::build_info!(dogs::NAME))
}
