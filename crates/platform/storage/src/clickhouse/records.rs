//! Records of the table `record_versions`, identified by kind and key.

use kennel_core::RepoError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A kind of record, and its columns in addition to those of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKind {
    /// Its name in the column `kind`.
    pub name: &'static str,
    /// Its columns, as a select lists them.
    pub columns: &'static str,
}

pub(super) const COMMIT: RecordKind = RecordKind { name: "commit", columns: "holder" };
pub(super) const EVENT: RecordKind = RecordKind {
    name: "event",
    columns: "event_id, event_name, event_source, event_topic, event_key, event_time, event_content_type, event_data, \
              event_binary, event_traceparent, event_tracestate",
};
pub(super) const PUBLISHED: RecordKind = RecordKind { name: "published", columns: EVENT.columns };
pub(super) const RECEIPT: RecordKind = RecordKind { name: "receipt", columns: "recorded_at" };
pub(super) const ATTEMPTS: RecordKind = RecordKind { name: "attempts", columns: "attempts, recorded_at" };
pub(super) const DEAD_LETTER: RecordKind = RecordKind {
    name: "dead_letter",
    columns: "event_id, event_name, event_source, event_topic, event_key, event_time, event_content_type, event_data, \
              event_binary, event_traceparent, event_tracestate, event_group, attempts, reason, recorded_at",
};
pub(super) const LEASE: RecordKind = RecordKind { name: "lease", columns: "holder, expires_at, version" };

impl RecordKind {
    /// Identifies the record `key` of this kind.
    pub fn key(self, key: impl Into<String>) -> RecordKey {
        RecordKey { kind: self, key: key.into() }
    }
}

/// Identifies a record by kind and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordKey {
    pub(super) kind: RecordKind,
    pub(super) key: String,
}

/// A record as it was read.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its key.
    pub key: String,
    /// Whether it is deleted. It then counts as absent; its key is only the position up to which a scan has read.
    pub deleted: bool,
    pub(super) row: String,
}

impl Record {
    pub(super) fn parse(line: &str) -> Result<Self, RepoError> {
        #[derive(Deserialize)]
        struct RecordHeader {
            key: String,
            deleted: u8,
        }
        let head: RecordHeader = parse(line)?;
        Ok(Self { key: head.key, deleted: head.deleted != 0, row: line.to_owned() })
    }

    /// Its columns.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, RepoError> {
        parse(&self.row)
    }
}

pub(super) fn parse<T: DeserializeOwned>(row: &str) -> Result<T, RepoError> {
    serde_json::from_str(row).map_err(RepoError::corrupt)
}

/// Formats a number for keys, zero-padded so that it sorts as text.
pub(super) fn padded(number: u64) -> String {
    format!("{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_text() {
        let numbers = [0, 9, 10, 99, u64::MAX].map(padded);
        assert!(numbers.is_sorted());
        assert_eq!(numbers[4].len(), 20);
    }

    #[test]
    fn what_is_no_record_is_corrupt() {
        assert!(matches!(Record::parse("{}"), Err(RepoError::Corrupt(_))));
        let found = Record::parse(r#"{"key":"k","deleted":1,"revision":-1}"#).unwrap();
        assert!(found.deleted);
        assert!(matches!(found.read::<Vec<u8>>(), Err(RepoError::Corrupt(_))));
    }
}
