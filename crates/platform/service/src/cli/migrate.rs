//! `migrate`: the database's schema.

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use kennel_core::Clock;
use kennel_storage::{MigrationState, MigrationStep, Migrator};

use crate::output::print_line;
use crate::{Context, Service};

/// Commands for the schema.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Migrate {
    /// Apply all pending migrations.
    Up,
    /// Revert the latest migration.
    Down,
    /// Show which migrations are applied.
    Status,
}

/// Runs a migration command. `status` exits with a failure when a migration is pending, for scripts.
pub(super) async fn run<S: Service>(cx: &Context<S>, command: Migrate) -> anyhow::Result<ExitCode> {
    let database = cx.open_database().await?;
    let result = execute(&*database.migrator, &*cx.clock(), command).await.with_context(|| cx.store_name());
    database.close().await;
    result
}

async fn execute(migrator: &dyn Migrator, clock: &dyn Clock, command: Migrate) -> anyhow::Result<ExitCode> {
    match command {
        Migrate::Up => print_steps("applied", &migrator.up(clock.now()).await?)?,
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
