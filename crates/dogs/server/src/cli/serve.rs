//! `dogs serve`: runs the service until SIGTERM or SIGINT.

use std::process::ExitCode;

use kennel_app::{ComponentFilter, signals};

use crate::backends::Backends;
use crate::wiring::{COMPONENTS, Wiring};

/// Runs the selected components, all of them by default, until SIGTERM or SIGINT.
pub(super) async fn run(backends: Backends, only: Option<&str>) -> anyhow::Result<ExitCode> {
    let only = only.map_or_else(|| Ok(ComponentFilter::all()), |names| ComponentFilter::parse(names, &COMPONENTS))?;
    let wiring = Wiring::open(backends).await?;
    wiring.check_schema().await?;
    let stop = signals()?;
    wiring.app(&only)?.run(stop).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
