//! `dogs migrate`: the database's schema.

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use kennel_core::{Clock as _, SystemClock};
use kennel_storage::{MigrationState, MigrationStep, Migrator};

use super::args::Migrate;
use super::output::print_line;
use crate::backends::Backends;

/// Runs a migration command. `status` exits with a failure when a migration is pending, for scripts.
pub(super) async fn run(backends: &Backends, command: Migrate) -> anyhow::Result<ExitCode> {
    let stores = backends.store().await?;
    let result = execute(&*stores.database.migrator, command).await.with_context(|| backends.store_name());
    stores.database.close().await;
    result
}

async fn execute(migrator: &dyn Migrator, command: Migrate) -> anyhow::Result<ExitCode> {
    match command {
        Migrate::Up => print_steps("applied", &migrator.up(SystemClock.now()).await?)?,
        Migrate::Down => print_steps("reverted", &migrator.down(1).await?)?,
        Migrate::Status => {
            let steps = migrator.status().await?;
            for step in &steps {
                print_line(format_args!("{:<32} {}", step.name, state(step.state)))?;
            }
            let up = steps.iter().all(|step| matches!(step.state, MigrationState::Applied { .. }));
            return Ok(if up { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_steps(outcome: &str, steps: &[MigrationStep]) -> io::Result<()> {
    if steps.is_empty() {
        print_line("nothing to do")?;
    }
    for step in steps {
        print_line(format_args!("{} {outcome}", step.name))?;
    }
    Ok(())
}

fn state(state: MigrationState) -> String {
    match state {
        MigrationState::Pending => "pending".to_owned(),
        MigrationState::Applied { at } => format!("applied {at}"),
        MigrationState::Changed => "changed after it was applied".to_owned(),
        MigrationState::Unknown => "applied, unknown to this build".to_owned(),
    }
}
