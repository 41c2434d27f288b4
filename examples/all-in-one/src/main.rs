//! Dogs and notes in one process: `all-in-one serve` with `NOTES_SERVER_PORT=8081` and `NOTES_GRPC_PORT=50052`.

use std::process::ExitCode;

use kennel_service::{build_info, erased, main_all};

fn main() -> ExitCode {
    main_all(&[erased::<dogs::Dogs>(), erased::<notes::Notes>()], build_info!("all-in-one"))
}
