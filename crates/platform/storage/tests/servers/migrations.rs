//! Migrations.

use kennel_storage::{MigrateError, MigrationState, StorageConfig};
use kennel_testkit::TestDatabase;

use crate::server::{Server, now, opened};

pub(crate) async fn they_can_be_applied_reverted_and_applied_again<S: Server>(home: &TestDatabase) {
    let server = S::open(home.dsn(), StorageConfig::default()).await.unwrap();
    let migrator = server.migrator(S::STEPS);
    let states = async || -> Vec<_> { migrator.status().await.unwrap().into_iter().map(|step| step.state).collect() };
    assert_eq!(states().await, [MigrationState::Pending; 2]);
    assert_eq!(server.tables().await, Vec::<String>::new(), "status changes nothing");
    let up = migrator.up(now()).await.unwrap();
    assert_eq!(up.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["0001_events", "0002_table"]);
    assert_eq!(states().await, [MigrationState::Applied { at: now() }; 2]);
    assert_eq!(migrator.up(now()).await.unwrap(), []);
    server.put(1, 7).await.unwrap();

    assert_eq!(migrator.down(1).await.unwrap()[0].version, 2);
    assert_eq!(states().await, [MigrationState::Applied { at: now() }, MigrationState::Pending]);
    assert_eq!(migrator.down(9).await.unwrap()[0].version, 1);
    assert_eq!(server.tables().await, ["schema_migrations"], "down removes everything that up created");
    assert_eq!(migrator.down(1).await.unwrap(), []);
    assert_eq!(migrator.up(now()).await.unwrap().len(), 2);
    server.put(1, 1).await.unwrap();
    assert_eq!(server.get(1).await.unwrap(), 1);
}

pub(crate) async fn concurrent_processes_apply_each_migration_once<S: Server>(home: &TestDatabase) {
    let mut replicas = Vec::new();
    for _ in 0..6 {
        replicas.push(S::open(home.dsn(), StorageConfig::default()).await.unwrap());
    }
    let calls = replicas.iter().map(|replica| async move { replica.migrator(S::STEPS).up(now()).await });
    let done: Vec<_> =
        futures_util::future::join_all(calls).await.into_iter().map(|done| done.unwrap().len()).collect();
    assert_eq!(done.iter().sum::<usize>(), 2, "{done:?}");
    for replica in replicas {
        replica.put(1, 1).await.unwrap();
        replica.database().close().await;
    }
}

pub(crate) async fn a_changed_one_is_rejected<S: Server>(home: &TestDatabase) {
    let migrator = opened::<S>(home).await.migrator(S::CHANGED);
    let result = migrator.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Changed { version: 2, .. })), "{result:?}");
    assert!(matches!(migrator.down(1).await, Err(MigrateError::Changed { .. })));
    assert_eq!(migrator.status().await.unwrap()[1].state, MigrationState::Changed);
}

pub(crate) async fn a_newer_database_is_rejected<S: Server>(home: &TestDatabase) {
    let older = opened::<S>(home).await.migrator(&S::STEPS[..1]);
    let result = older.up(now()).await;
    assert!(matches!(result, Err(MigrateError::Unknown { version: 2, .. })), "{result:?}");
    assert_eq!(older.status().await.unwrap()[1].state, MigrationState::Unknown);
}

pub(crate) async fn a_failed_one_stays_pending_and_can_be_retried<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    let broken = server.migrator(S::BROKEN);
    for _ in 0..2 {
        let result = broken.up(now()).await;
        assert!(matches!(result, Err(MigrateError::Step { version: 3, .. })), "{result:?}");
        assert_eq!(broken.status().await.unwrap()[2].state, MigrationState::Pending);
    }
    let done = server.migrator(S::REPAIRED).up(now()).await.unwrap();
    assert_eq!(done.len(), 1);
    assert!(server.tables().await.contains(&"half".to_owned()));
}
