//! When the exchanges opened, for the first time and in this process.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, ensure};
use kennel_core::{Clock, Timestamp};
use market_domain::Micros;
use tokio::fs;

use crate::config::SimulatorConfig;

pub(crate) struct Opening {
    /// When the exchanges opened for the first time, by their own clock.
    pub(crate) first: Micros,
    /// The time of the exchanges when this process opened them.
    pub(crate) resumed: Micros,
    /// The real time then.
    pub(crate) real: Micros,
}

impl Opening {
    /// Opens the exchanges: for the first time, or as if they had gone on since then.
    pub(crate) async fn now(config: &SimulatorConfig, clock: &dyn Clock) -> anyhow::Result<Self> {
        let now = clock.now();
        let (real, first) = (micros(now), now.saturating_sub(config.simulator_start_ago.get()));
        let anew = Self { first: micros(first), resumed: micros(first), real };
        let Some(file) = &config.simulator_start_file else { return Ok(anew) };
        let named = || format!("SIMULATOR_START_FILE: {}", file.display());
        match read(file).await.with_context(named)? {
            Some(first) => {
                ensure!(first <= now, "SIMULATOR_START_FILE: {} has a time in the future", file.display());
                Ok(Self { first: micros(first), resumed: real, real })
            }
            None => write(file, first).await.with_context(named).map(|()| anew),
        }
    }
}

async fn read(file: &Path) -> anyhow::Result<Option<Timestamp>> {
    match fs::read_to_string(file).await {
        Ok(text) => Ok(Some(text.trim().parse().context("it is not a time such as 2026-01-31T12:00:00.000Z")?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn write(file: &Path, first: Timestamp) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).await?;
    }
    Ok(fs::write(file, format!("{first}\n")).await?)
}

pub(crate) fn micros(time: Timestamp) -> Micros {
    Micros(time.as_millis() * 1_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kennel_core::ManualClock;

    use super::*;

    #[tokio::test]
    async fn exchanges_that_are_opened_again_have_gone_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/start");
        let config = SimulatorConfig { simulator_start_file: Some(file.clone()), ..SimulatorConfig::default() };
        let clock = ManualClock::new("2026-01-31T12:00:00Z".parse().unwrap());
        let opened = Opening::now(&config, &clock).await.unwrap();
        assert_eq!(opened.resumed, opened.first);
        assert_eq!(opened.real.0 - opened.first.0, 20 * 60 * Micros::SECOND);

        clock.advance(Duration::from_hours(1));
        let again = Opening::now(&config, &clock).await.unwrap();
        assert_eq!(again.first, opened.first);
        assert_eq!((again.resumed, again.real), (again.real, micros(clock.now())));

        for (text, expected) in [("soon", "is not a time"), ("2027-01-31T12:00:00Z", "in the future")] {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", Opening::now(&config, &clock).await.err().unwrap());
            assert!(error.starts_with("SIMULATOR_START_FILE: ") && error.contains(expected), "{error}");
        }
    }
}
