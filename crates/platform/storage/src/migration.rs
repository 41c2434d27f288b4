//! Migrations: numbered schema changes, embedded in the binary, and their state in a database.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use sha2::{Digest, Sha256};

/// One schema change.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number; migrations are applied in the order of their numbers.
    pub version: u32,
    /// The name of its files, such as `0001_events`.
    pub name: &'static str,
    /// The statements that apply it.
    pub up: &'static str,
    /// The statements that undo it.
    pub down: &'static str,
}

impl Migration {
    /// SHA-256 of its `up` statements, independent of the line endings of a checkout.
    pub fn checksum(&self) -> [u8; 32] {
        Sha256::digest(self.up.replace("\r\n", "\n")).into()
    }
}

/// Embeds the files `<name>.up.sql` and `<name>.down.sql` of a folder, given relative to the calling file. A name
/// begins with the number in four digits, such as `0001_events`.
#[macro_export]
macro_rules! migration {
    ($folder:literal, $version:literal, $name:literal) => {
        $crate::Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!($folder, "/", $name, ".up.sql")),
            down: include_str!(concat!($folder, "/", $name, ".down.sql")),
        }
    };
}

/// The [`Migrations`](crate::Migrations) of a service: after those of the platform the ones that are listed, in the folder
/// of each store. A store without its feature is left out.
///
/// ```ignore
/// const MIGRATIONS: Migrations = kennel_storage::migrations! {
///     "../migrations", [(2, "0002_notes")];
///     #[cfg(feature = "sqlite")]
///     sqlite,
/// };
/// ```
#[macro_export]
macro_rules! migrations {
    ($folder:literal, $list:tt; $($(#[$condition:meta])* $store:ident),* $(,)?) => {{
        // `..NONE` is needless in a build with every store.
        #[allow(clippy::allow_attributes, clippy::needless_update)]
        const MIGRATIONS: $crate::Migrations = $crate::Migrations {
            $($(#[$condition])* $store: $crate::migrations!(@store $folder, $store, $list),)*
            ..$crate::Migrations::NONE
        };
        MIGRATIONS
    }};
    (@store $folder:literal, $store:ident, [$(($version:literal, $name:literal)),+ $(,)?]) => {
        &[
            $crate::$store::EVENTS,
            $($crate::Migration {
                version: $version,
                name: $name,
                up: include_str!(concat!($folder, "/", stringify!($store), "/", $name, ".up.sql")),
                down: include_str!(concat!($folder, "/", stringify!($store), "/", $name, ".down.sql")),
            },)+
        ]
    };
}

/// The state of a migration in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// Not applied.
    Pending,
    /// Applied.
    Applied {
        /// When it was applied.
        at: Timestamp,
    },
    /// Applied, but its statements were changed afterwards.
    Changed,
    /// Applied, but unknown to this build.
    Unknown,
}

/// A migration and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// The migration's number.
    pub version: u32,
    /// The migration's name.
    pub name: String,
    /// Its state in the database.
    pub state: MigrationState,
}

/// Why migrating failed. The database is unchanged; where DDL cannot be rolled back, as in MySQL, the migrations before
/// the failed one stay applied, and a retry completes the failed one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// An applied migration has different statements in this build.
    #[error("migration {name} was changed after it was applied")]
    Changed {
        /// The migration's number.
        version: u32,
        /// The migration's name.
        name: String,
    },
    /// An applied migration is missing in this build, which may be older than the database.
    #[error("the database has migration {name}, which this build does not know")]
    Unknown {
        /// The migration's number.
        version: u32,
        /// The migration's name.
        name: String,
    },
    /// The database rejected the migration's statements.
    #[error("migration {name} failed")]
    Step {
        /// The migration's number.
        version: u32,
        /// The migration's name.
        name: String,
        /// Why.
        #[source]
        source: RepoError,
    },
    /// The database failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

/// Applies and reverts migrations. Safe to call from several processes at once.
#[async_trait]
pub trait Migrator: Send + Sync + 'static {
    /// Applies every pending migration; returns the applied ones by number.
    async fn up(&self, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError>;

    /// Reverts the last `steps` applied migrations; returns them, last first. Their data is lost.
    async fn down(&self, steps: u32) -> Result<Vec<MigrationStep>, MigrateError>;

    /// Every migration of this build and of the database, by number. Changes nothing.
    async fn status(&self) -> Result<Vec<MigrationStep>, MigrateError>;
}

/// A migration as recorded in the database.
#[derive(Debug, Clone)]
pub(crate) struct AppliedMigration {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    pub(crate) at: Timestamp,
}

/// Compares the migrations of the build with those of the database, by number.
pub(crate) fn compare(known: &[Migration], applied: &[AppliedMigration]) -> Vec<MigrationStep> {
    let step = |version, name: &str, state| MigrationStep { version, name: name.to_owned(), state };
    // In the database of another service, other migrations have the same numbers.
    let is_same = |migration: &Migration, applied: &AppliedMigration| {
        let is_known = applied.name == migration.name || applied.checksum == migration.checksum();
        applied.version == migration.version && is_known
    };
    let of_build = known.iter().map(|migration| {
        let state = match applied.iter().find(|applied| is_same(migration, applied)) {
            None => MigrationState::Pending,
            Some(applied) if applied.checksum != migration.checksum() => MigrationState::Changed,
            Some(applied) => MigrationState::Applied { at: applied.at },
        };
        step(migration.version, migration.name, state)
    });
    let missing = applied.iter().filter(|applied| !known.iter().any(|migration| is_same(migration, applied)));
    let mut steps: Vec<_> =
        of_build.chain(missing.map(|it| step(it.version, &it.name, MigrationState::Unknown))).collect();
    steps.sort_by_key(|step| step.version);
    steps
}

/// Fails when the database has migrations that do not match this build.
pub(crate) fn check(steps: &[MigrationStep]) -> Result<(), MigrateError> {
    for MigrationStep { version, name, state } in steps {
        let (version, name) = (*version, name.clone());
        match state {
            MigrationState::Changed => return Err(MigrateError::Changed { version, name }),
            MigrationState::Unknown => return Err(MigrateError::Unknown { version, name }),
            MigrationState::Pending | MigrationState::Applied { .. } => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn migration(version: u32, up: &'static str) -> Migration {
        Migration { version, name: "step", up, down: "" }
    }

    #[test]
    fn line_endings_do_not_change_a_checksum() {
        assert_eq!(migration(1, "a;\nb;\n").checksum(), migration(1, "a;\r\nb;\r\n").checksum());
        assert_ne!(migration(1, "a;").checksum(), migration(1, "b;").checksum());
    }

    #[test]
    fn every_difference_is_reported() {
        let at = Timestamp::from_millis(7).unwrap();
        let known = [migration(1, "a"), migration(2, "b"), migration(4, "d")];
        let has = |version, up| AppliedMigration {
            version,
            name: "step".to_owned(),
            checksum: migration(version, up).checksum().to_vec(),
            at,
        };
        let steps = compare(&known, &[has(1, "a"), has(2, "other"), has(3, "c")]);
        let states: Vec<_> = steps.iter().map(|step| (step.version, step.state)).collect();
        assert_eq!(
            states,
            [
                (1, MigrationState::Applied { at }),
                (2, MigrationState::Changed),
                (3, MigrationState::Unknown),
                (4, MigrationState::Pending)
            ]
        );
        assert!(matches!(check(&steps), Err(MigrateError::Changed { version: 2, .. })));
        assert!(matches!(check(&steps[2..]), Err(MigrateError::Unknown { version: 3, .. })));
        assert!(check(&steps[..1]).is_ok());
    }

    #[test]
    fn a_database_of_another_service_has_unknown_migrations() {
        let at = Timestamp::from_millis(7).unwrap();
        let checksum = |up| migration(2, up).checksum().to_vec();
        let has = |name: &str, up| AppliedMigration { version: 2, name: name.to_owned(), checksum: checksum(up), at };
        let error = check(&compare(&[migration(2, "a")], &[has("other", "b")])).unwrap_err();
        assert_eq!(error.to_string(), "the database has migration other, which this build does not know");
        let renamed = compare(&[migration(2, "a")], &[has("other", "a")]);
        assert_eq!(
            renamed,
            [MigrationStep { version: 2, name: "step".to_owned(), state: MigrationState::Applied { at } }]
        );
    }
}
