//! `dogs storage`: moving from one store to another.

mod copy;
mod diff;

use std::process::ExitCode;

use anyhow::Context as _;
use dogs_storages::Storage as Store;
use kennel_config::EX_USAGE;
use kennel_core::{BackendKind as _, Clock as _, SystemClock};

use super::args::{Ends, Storage};
use crate::config::StorageSettings;
use crate::moving::End;
use crate::wiring::check_schema;

/// Runs a command on two stores, each opened with its own settings, whatever STORAGE says.
pub(super) async fn run(settings: &StorageSettings, command: Storage) -> anyhow::Result<ExitCode> {
    let (Storage::Copy(super::args::Copy { ends, .. }) | Storage::Diff(super::args::Diff { ends, .. })) = command;
    if let Some(refusal) = refusal(settings, ends) {
        eprintln!("{refusal}");
        return Ok(ExitCode::from(EX_USAGE));
    }
    let from = open(settings, ends.from, false).await?;
    let to = open(settings, ends.to, matches!(command, Storage::Copy(_)) && settings.migrate_on_start).await;
    let result = match &to {
        Ok(to) => match command {
            Storage::Copy(options) => copy::run(&from, to, options).await,
            Storage::Diff(options) => diff::run(&from, to, options.limit).await,
        },
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    from.stores.close().await;
    if let Ok(to) = to {
        to.stores.close().await;
    }
    result
}

/// Why the stores cannot be opened, as far as that can be told without trying.
fn refusal(settings: &StorageSettings, ends: Ends) -> Option<String> {
    if ends.from == ends.to {
        return Some(format!("error: --from and --to name the same store, `{}`", ends.from.name()));
    }
    let problems = [ends.from, ends.to].map(|store| settings.of(store).problems());
    let told = |(key, reason): (String, String)| format!("{}: {reason}", key.to_ascii_uppercase());
    let lines: Vec<_> = problems.into_iter().flatten().map(told).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

async fn open(settings: &StorageSettings, store: Store, migrate: bool) -> anyhow::Result<End> {
    let stores = dogs_storages::connect(&settings.of(store).storage()).await?;
    let schema = async {
        if migrate {
            stores.migrator.up(SystemClock.now()).await.context("the schema cannot be brought up")?;
        }
        check_schema(&*stores.migrator).await
    };
    schema.await.with_context(|| format!("the store `{}`", store.name()))?;
    Ok(stores.into())
}
