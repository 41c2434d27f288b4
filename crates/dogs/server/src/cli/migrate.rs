//! `dogs migrate`: the database's schema.

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use kennel_core::{Clock as _, SystemClock};
use kennel_storage::{MigrationState, MigrationStep, Migrator};

use super::args::Migrate;
use super::out::say;
use crate::backends::Backends;

/// Runs a command on the schema. `status` fails when a step is pending, so that scripts can ask.
pub(super) async fn run(backends: &Backends, command: Migrate) -> anyhow::Result<ExitCode> {
    let stores = backends.store().await?;
    let result = on(&*stores.migrator, command).await.with_context(|| backends.store_name());
    stores.close().await;
    result
}

async fn on(migrator: &dyn Migrator, command: Migrate) -> anyhow::Result<ExitCode> {
    match command {
        Migrate::Up => changed("applied", &migrator.up(SystemClock.now()).await?)?,
        Migrate::Down => changed("taken back", &migrator.down(1).await?)?,
        Migrate::Status => {
            let steps = migrator.status().await?;
            for step in &steps {
                say(format_args!("{:<32} {}", step.name, state(step.state)))?;
            }
            let up = steps.iter().all(|step| matches!(step.state, MigrationState::Applied { .. }));
            return Ok(if up { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn changed(what: &str, steps: &[MigrationStep]) -> io::Result<()> {
    if steps.is_empty() {
        say("nothing to do")?;
    }
    for step in steps {
        say(format_args!("{} {what}", step.name))?;
    }
    Ok(())
}

fn state(state: MigrationState) -> String {
    match state {
        MigrationState::Pending => "pending".to_owned(),
        MigrationState::Applied { at } => format!("applied {at}"),
        MigrationState::Changed => "changed after it was applied".to_owned(),
        MigrationState::Unknown => "applied, not known to this build".to_owned(),
    }
}
