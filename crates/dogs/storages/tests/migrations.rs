//! The migrations of every store: the files of its folders, of the platform and of the service, are the embedded ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use kennel_storage::Migration;

fn every_file_is_embedded(store: &str, migrations: &[Migration]) {
    let migrations_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../migrations");
    let folders = ["events", "dogs"].map(|owner| migrations_dir.join(owner).join(store));
    let files = folders.into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let embedded: BTreeSet<_> =
        migrations.iter().flat_map(|step| ["up", "down"].map(|way| format!("{}.{way}.sql", step.name))).collect();
    assert_eq!(files, embedded);
    for (number, step) in (1..).zip(migrations) {
        assert_eq!(step.version, number);
        assert!(step.name.starts_with(&format!("{number:04}_")), "{}", step.name);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn every_file_of_sqlite_is_embedded() {
    every_file_is_embedded("sqlite", dogs_storages::MIGRATIONS.sqlite);
}

#[cfg(feature = "postgres")]
#[test]
fn every_file_of_postgres_is_embedded() {
    every_file_is_embedded("postgres", dogs_storages::MIGRATIONS.postgres);
}

#[cfg(feature = "mysql")]
#[test]
fn every_file_of_mysql_is_embedded() {
    every_file_is_embedded("mysql", dogs_storages::MIGRATIONS.mysql);
}

#[cfg(feature = "clickhouse")]
#[test]
fn every_file_of_clickhouse_is_embedded() {
    every_file_is_embedded("clickhouse", dogs_storages::MIGRATIONS.clickhouse);
}
