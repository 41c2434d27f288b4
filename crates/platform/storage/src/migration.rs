//! Migrations: numbered steps of a schema, embedded in the binary, and what a database has of them.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use sha2::{Digest, Sha256};

/// One step of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number; steps are applied by number.
    pub version: u32,
    /// The name of its files, such as `0001_events`.
    pub name: &'static str,
    /// The statements that make it.
    pub up: &'static str,
    /// The statements that undo it.
    pub down: &'static str,
}

impl Migration {
    /// SHA-256 of its `up` statements, the same whichever line ends a checkout has.
    pub fn checksum(&self) -> [u8; 32] {
        Sha256::digest(self.up.replace("\r\n", "\n")).into()
    }
}

/// Embeds the files `<name>.up.sql` and `<name>.down.sql` of a folder, given relative to the calling file.
/// A name begins with the step's number in four digits, such as `0001_events`.
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

/// What a database has of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is not applied.
    Pending,
    /// It is applied.
    Applied {
        /// When it was.
        at: Timestamp,
    },
    /// It is applied, but its statements have been changed since.
    Changed,
    /// It is applied, but this build does not have it.
    Unknown,
}

/// A step and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step's number.
    pub version: u32,
    /// The step's name.
    pub name: String,
    /// What the database has of it.
    pub state: State,
}

/// Why migrating failed. The database is as it was before; where statements about tables cannot be taken back, as in MySQL,
/// the steps before the failed one stay, and a repetition makes that one whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A step that is applied has other statements in this build.
    #[error("migration {name} was changed after it was applied")]
    Changed {
        /// The step's number.
        version: u32,
        /// The step's name.
        name: String,
    },
    /// A step that is applied is missing in this build, which may be older than the database.
    #[error("the database has migration {name}, which this build does not know")]
    Unknown {
        /// The step's number.
        version: u32,
        /// The step's name.
        name: String,
    },
    /// The database refused a step's statements.
    #[error("migration {name} failed")]
    Step {
        /// The step's number.
        version: u32,
        /// The step's name.
        name: String,
        /// Why.
        #[source]
        source: RepoError,
    },
    /// The database failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

/// Brings a database to the schema of this build, and back. Safe to call from several processes at once.
#[async_trait]
pub trait Migrator: Send + Sync + 'static {
    /// Applies every pending step; answers those, by number.
    async fn up(&self, now: Timestamp) -> Result<Vec<Step>, MigrateError>;

    /// Undoes the last `steps` applied steps; answers those, last first. Their data is lost.
    async fn down(&self, steps: u32) -> Result<Vec<Step>, MigrateError>;

    /// Every step of this build and of the database, by number. Changes nothing.
    async fn status(&self) -> Result<Vec<Step>, MigrateError>;
}

/// A step as the database remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) checksum: Vec<u8>,
    pub(crate) at: Timestamp,
}

/// Lays the steps of the build beside those of the database, by number.
pub(crate) fn compare(known: &[Migration], applied: &[Applied]) -> Vec<Step> {
    let step = |version, name: &str, state| Step { version, name: name.to_owned(), state };
    let of_build = known.iter().map(|migration| {
        let state = match applied.iter().find(|applied| applied.version == migration.version) {
            None => State::Pending,
            Some(applied) if applied.checksum != migration.checksum() => State::Changed,
            Some(applied) => State::Applied { at: applied.at },
        };
        step(migration.version, migration.name, state)
    });
    let missing = applied.iter().filter(|applied| known.iter().all(|migration| migration.version != applied.version));
    let mut steps: Vec<_> = of_build.chain(missing.map(|it| step(it.version, &it.name, State::Unknown))).collect();
    steps.sort_by_key(|step| step.version);
    steps
}

/// Refuses to go on from a database that does not fit this build.
pub(crate) fn check(steps: &[Step]) -> Result<(), MigrateError> {
    for Step { version, name, state } in steps {
        let (version, name) = (*version, name.clone());
        match state {
            State::Changed => return Err(MigrateError::Changed { version, name }),
            State::Unknown => return Err(MigrateError::Unknown { version, name }),
            State::Pending | State::Applied { .. } => {}
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
    fn line_ends_do_not_change_a_checksum() {
        assert_eq!(migration(1, "a;\nb;\n").checksum(), migration(1, "a;\r\nb;\r\n").checksum());
        assert_ne!(migration(1, "a;").checksum(), migration(1, "b;").checksum());
    }

    #[test]
    fn every_difference_is_told() {
        let at = Timestamp::from_millis(7).unwrap();
        let known = [migration(1, "a"), migration(2, "b"), migration(4, "d")];
        let has = |version, up| Applied {
            version,
            name: "step".to_owned(),
            checksum: migration(version, up).checksum().to_vec(),
            at,
        };
        let steps = compare(&known, &[has(1, "a"), has(2, "other"), has(3, "c")]);
        let states: Vec<_> = steps.iter().map(|step| (step.version, step.state)).collect();
        assert_eq!(states, [(1, State::Applied { at }), (2, State::Changed), (3, State::Unknown), (4, State::Pending)]);
        assert!(matches!(check(&steps), Err(MigrateError::Changed { version: 2, .. })));
        assert!(matches!(check(&steps[2..]), Err(MigrateError::Unknown { version: 3, .. })));
        assert!(check(&steps[..1]).is_ok());
    }
}
