//! `dogs serve`: runs the service until it is told to stop.

use std::process::ExitCode;

use kennel_app::{ComponentFilter, signals};

use crate::backends::Backends;
use crate::wiring::{SELECTABLE, Wiring};

/// Runs the picked components, all of them by default, until SIGTERM or SIGINT.
pub(super) async fn run(backends: Backends, only: Option<&str>) -> anyhow::Result<ExitCode> {
    let only = only.map_or_else(|| Ok(ComponentFilter::all()), |names| ComponentFilter::parse(names, &SELECTABLE))?;
    let wiring = Wiring::open(backends).await?;
    wiring.check_schema().await?;
    let stop = signals()?;
    wiring.app(&only)?.run(stop).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
