//! Records: what stands in the one table, found by kind and key.

use kennel_core::RepoError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A kind of record, and the columns that it uses beside those that all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Its name in the column `what`.
    pub name: &'static str,
    /// Its columns, as a select lists them.
    pub columns: &'static str,
}

pub(super) const COMMIT: Kind = Kind { name: "commit", columns: "holder" };
pub(super) const EVENT: Kind = Kind {
    name: "event",
    columns: "event_id, event_name, event_source, event_topic, event_key, event_time, event_data, event_binary, \
              event_traceparent, event_tracestate",
};
pub(super) const PUBLISHED: Kind = Kind { name: "published", columns: EVENT.columns };
pub(super) const RECEIPT: Kind = Kind { name: "receipt", columns: "at" };
pub(super) const ATTEMPTS: Kind = Kind { name: "attempts", columns: "attempts, at" };
pub(super) const LETTER: Kind = Kind {
    name: "letter",
    columns: "event_id, event_name, event_source, event_topic, event_key, event_time, event_data, event_binary, \
              event_traceparent, event_tracestate, event_group, attempts, reason, at",
};
pub(super) const LEASE: Kind = Kind { name: "lease", columns: "holder, at, version" };

impl Kind {
    /// The place of the record `key` of this kind.
    pub fn at(self, key: impl Into<String>) -> Place {
        Place { kind: self, key: key.into() }
    }
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub(super) kind: Kind,
    pub(super) key: String,
}

/// A record as it was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its key.
    pub key: String,
    /// Whether it is deleted: it counts as absent, and its key still tells where reading has come to.
    pub deleted: bool,
    pub(super) row: String,
}

impl Found {
    pub(super) fn parse(line: &str) -> Result<Self, RepoError> {
        #[derive(Deserialize)]
        struct Head {
            key: String,
            deleted: u8,
        }
        let head: Head = parse(line)?;
        Ok(Self { key: head.key, deleted: head.deleted != 0, row: line.to_owned() })
    }

    /// Its columns.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, RepoError> {
        parse(&self.row)
    }
}

pub(super) fn parse<T: DeserializeOwned>(row: &str) -> Result<T, RepoError> {
    serde_json::from_str(row).map_err(|error| RepoError::Corrupt(error.into()))
}

/// A number as it stands in keys, so that text sorts as numbers do.
pub(super) fn number(number: u64) -> String {
    format!("{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_text() {
        let numbers = [0, 9, 10, 99, u64::MAX].map(number);
        assert!(numbers.is_sorted());
        assert_eq!(numbers[4].len(), 20);
    }

    #[test]
    fn what_is_no_record_is_corrupt() {
        assert!(matches!(Found::parse("{}"), Err(RepoError::Corrupt(_))));
        let found = Found::parse(r#"{"key":"k","deleted":1,"revision":-1}"#).unwrap();
        assert!(found.deleted);
        assert!(matches!(found.read::<Vec<u8>>(), Err(RepoError::Corrupt(_))));
    }
}
