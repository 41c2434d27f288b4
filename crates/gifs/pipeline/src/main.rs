//! The GIF pipeline in one process. `make run-gifs` sets the ports at which its services find each other.

use std::process::ExitCode;

use kennel_service::{build_info, erased, main_all};

fn main() -> ExitCode {
    let services = [erased::<gif_api::GifApi>(), erased::<gif_storage::GifStorage>(), erased::<gif_files::GifFiles>()];
    main_all(&services, build_info!("gif-pipeline"))
}
