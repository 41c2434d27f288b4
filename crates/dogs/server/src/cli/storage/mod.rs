//! `dogs storage`: copies one store to another, and compares two stores.

mod copy;
mod diff;

use std::process::ExitCode;

use anyhow::Context as _;
use dogs_storages::Storage as Store;
use dogs_store_copy::StoreHandle;
use kennel_config::EX_USAGE;
use kennel_core::{BackendKind as _, Clock as _, SystemClock};

use super::args::{Storage, StorePair};
use crate::config::StorageSettings;
use crate::wiring::check_schema;

/// Runs a command on two stores, each opened with its own settings; STORAGE is ignored.
pub(super) async fn run(settings: &StorageSettings, command: Storage) -> anyhow::Result<ExitCode> {
    let (Storage::Copy(super::args::Copy { pair, .. }) | Storage::Diff(super::args::Diff { pair, .. })) = command;
    if let Some(problems) = problems(settings, pair) {
        eprintln!("{problems}");
        return Ok(ExitCode::from(EX_USAGE));
    }
    let from = open(settings, pair.from, false).await?;
    let to = open(settings, pair.to, matches!(command, Storage::Copy(_)) && settings.migrate_on_start).await;
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

/// The configuration problems of the two stores, if any. Does not open them.
fn problems(settings: &StorageSettings, pair: StorePair) -> Option<String> {
    if pair.from == pair.to {
        return Some(format!("error: --from and --to name the same store, `{}`", pair.from.name()));
    }
    let problems = [pair.from, pair.to].map(|store| settings.of(store).problems());
    let line = |(key, reason): (String, String)| format!("{}: {reason}", key.to_ascii_uppercase());
    let lines: Vec<_> = problems.into_iter().flatten().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

async fn open(settings: &StorageSettings, store: Store, migrate: bool) -> anyhow::Result<StoreHandle> {
    let stores = dogs_storages::connect(&settings.of(store).storage()).await?;
    let schema = async {
        if migrate {
            stores.migrator.up(SystemClock.now()).await.context("cannot migrate the schema")?;
        }
        check_schema(&*stores.migrator).await
    };
    schema.await.with_context(|| format!("the store `{}`", store.name()))?;
    Ok(stores.into())
}
