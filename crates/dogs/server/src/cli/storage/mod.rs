//! `dogs storage`: copies one store to another, and compares two stores.

mod copy;
mod diff;

use std::process::ExitCode;

use anyhow::Context as _;
use dogs_store_copy::StoreHandle;
use kennel_config::{ConfigErrors, EX_USAGE, Problems, Section as _};
use kennel_core::{BackendKind as _, Clock as _, SystemClock};
use kennel_storage::{Storage as Store, StorageConfig};
use prometheus::Registry;

use super::args::{Storage, StorePair};
use kennel_service::check_schema;

/// Runs a command on two stores, each opened with its own settings; STORAGE is ignored.
pub(super) async fn run(settings: &StorageConfig, command: Storage) -> anyhow::Result<ExitCode> {
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
    from.stores.database.close().await;
    if let Ok(to) = to {
        to.stores.database.close().await;
    }
    result
}

/// The configuration problems of the two stores, if any. Does not open them.
fn problems(settings: &StorageConfig, pair: StorePair) -> Option<String> {
    if pair.from == pair.to {
        return Some(format!("error: --from and --to name the same store, `{}`", pair.from.name()));
    }
    let mut problems = Problems::default();
    for store in [pair.from, pair.to] {
        settings.of(store).check(&mut problems);
    }
    problems.into_result().err().map(|errors: ConfigErrors| errors.to_string())
}

async fn open(settings: &StorageConfig, store: Store, migrate: bool) -> anyhow::Result<StoreHandle> {
    let stores = dogs_storages::open(&settings.of(store), &Registry::new()).await?;
    let schema = async {
        if migrate {
            stores.database.migrator.up(SystemClock.now()).await.context("cannot migrate the schema")?;
        }
        check_schema(&*stores.database.migrator, crate::NAME).await
    };
    schema.await.with_context(|| format!("the store `{}`", store.name()))?;
    Ok(stores.into())
}
