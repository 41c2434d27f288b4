//! Health checks and drivers of a service's standard dependencies.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use kennel_app::{Check, Component, Phase, Stop};
use kennel_broker::{Broker as _, InstrumentedBroker};
use kennel_core::{BoxError, Cache, ObjectStore};
use kennel_storage::{Database, MigrationState, MigrationStep, Migrator};

/// Fails when the schema is older than this build, or was changed after it was applied.
pub async fn check_schema(migrator: &dyn Migrator, program: &str) -> anyhow::Result<()> {
    let steps = migrator.status().await.context("cannot read the schema version")?;
    for MigrationStep { name, state, .. } in steps {
        match state {
            MigrationState::Pending => {
                bail!("migration `{name}` is missing; apply it with `{program} migrate up` or MIGRATE_ON_START=true")
            }
            MigrationState::Changed => {
                bail!("migration `{name}` was changed after it was applied, or the database is another service's")
            }
            MigrationState::Applied { .. } | MigrationState::Unknown => {}
        }
    }
    Ok(())
}

/// Closes the database after all components that use it have stopped.
pub(crate) struct StoreDriver(pub(crate) Database);

#[async_trait]
impl Component for StoreDriver {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        stop.requested().await;
        self.0.close().await;
        Ok(())
    }
}

/// Closes the broker after all components that use it have stopped.
pub(crate) struct BrokerDriver(pub(crate) Arc<InstrumentedBroker>);

#[async_trait]
impl Component for BrokerDriver {
    fn name(&self) -> &'static str {
        "broker"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        stop.requested().await;
        self.0.close().await;
        Ok(())
    }
}

/// Checks that the object store responds.
pub(crate) struct ObjectCheck(pub(crate) Arc<dyn ObjectStore>);

#[async_trait]
impl Check for ObjectCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Checks that the broker responds. Not required for readiness: events wait in the outbox while it is unreachable.
pub(crate) struct BrokerCheck(pub(crate) Arc<InstrumentedBroker>);

#[async_trait]
impl Check for BrokerCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// Checks that the cache responds. Not required for readiness: requests read from the store while it is unreachable.
pub(crate) struct CacheCheck(pub(crate) Arc<dyn Cache>);

#[async_trait]
impl Check for CacheCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}
