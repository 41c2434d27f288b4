//! Writes many rows with few statements.

use kennel_core::{Event, RepoError};
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{MySql, MySqlConnection};

use super::classify;

/// The numbers of rows that have a statement. Each of the small ones, which are the most frequent; of the others few, since
/// each is prepared on each connection.
const LENGTHS: [usize; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128];
/// Maximum bytes of rows per statement, so that it fits into one TLS record of 16 KiB. The driver sends each record
/// separately with Nagle's algorithm enabled (sqlx 0.9.0, its issue 4335): with packets as large as on loopback, a
/// second record waits 40 ms for an acknowledgement, which made a copy over TLS 16 times slower than without TLS.
const MAX_STATEMENT_BYTES: usize = 16_000;
/// Maximum bytes of a row of up to 11 columns in addition to what [`BulkRow::size`] counts: types, lengths, ids and numbers.
const ROW_OVERHEAD: usize = 88;

/// A row of a statement.
pub trait BulkRow: Sync {
    /// The bytes of its texts and its binary data, without ids.
    fn size(&self) -> usize;

    /// Binds its columns, in the order of the statement.
    fn bind<'q>(
        &'q self,
        query: Query<'q, MySql, MySqlArguments>,
    ) -> Result<Query<'q, MySql, MySqlArguments>, RepoError>;
}

impl<R: BulkRow> BulkRow for &R {
    fn size(&self) -> usize {
        R::size(self)
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, MySql, MySqlArguments>,
    ) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        R::bind(self, query)
    }
}

impl BulkRow for Event {
    fn size(&self) -> usize {
        let trace = self
            .trace
            .as_ref()
            .map_or(0, |trace| trace.traceparent.len() + trace.tracestate.as_ref().map_or(0, String::len));
        let texts = [&self.name, &self.source, &self.topic, &self.key, &self.content_type];
        texts.into_iter().map(String::len).sum::<usize>() + self.data.len() + trace
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, MySql, MySqlArguments>,
    ) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        Ok(query
            .bind(self.id)
            .bind(&self.name)
            .bind(&self.source)
            .bind(&self.topic)
            .bind(&self.key)
            .bind(self.time.as_millis())
            .bind(&self.content_type)
            .bind(&self.data[..])
            .bind(self.trace.as_ref().map(|trace| &trace.traceparent))
            .bind(self.trace.as_ref().and_then(|trace| trace.tracestate.as_ref())))
    }
}

/// A statement in a few fixed lengths, so that all of them stay prepared for every number of rows.
///
/// A statement of another length would be prepared for itself, and would evict one from the connection's cache. That costs
/// more than the request: the driver closes the evicted one with a packet that has no response, and what it sends next
/// waits 40 ms for its acknowledgement (sqlx 0.9.0, `findings/sqlx_mysql_closed_statement.sh`).
#[derive(Debug)]
pub struct Bulk([String; LENGTHS.len()]);

impl Bulk {
    /// `statement` returns the statement for a number of rows.
    pub fn new(statement: impl Fn(usize) -> String) -> Self {
        Self(LENGTHS.map(statement))
    }

    /// An insert into these columns, such as `outbox (id, name)`; `row` has the values of a row, such as `(?, ?)`.
    pub fn insert(columns: &str, row: &str, end: &str) -> Self {
        Self::new(|rows| format!("INSERT INTO {columns} VALUES {}{end}", vec![row; rows].join(", ")))
    }

    /// Executes the statement for all rows, in their order.
    pub async fn execute(
        &'static self,
        connection: &mut MySqlConnection,
        mut rows: &[impl BulkRow],
    ) -> Result<(), RepoError> {
        while let Some((statement, now, later)) = self.next(rows) {
            let mut query = sqlx::query(statement);
            for row in now {
                query = row.bind(query)?;
            }
            query.execute(&mut *connection).await.map_err(classify)?;
            rows = later;
        }
        Ok(())
    }

    /// Whether so many rows can be one statement, if they are not too long.
    pub fn has_length(rows: usize) -> bool {
        LENGTHS.contains(&rows)
    }

    /// The next statement, its rows, and those of later ones; `None` without rows.
    fn next<'r, R: BulkRow>(&'static self, rows: &'r [R]) -> Option<(&'static str, &'r [R], &'r [R])> {
        let (now, later) = Self::split(rows)?;
        let statement = LENGTHS.iter().position(|&length| length == now.len())?;
        Some((self.0[statement].as_str(), now, later))
    }

    /// The rows of the first statement, and those of later ones; `None` without rows. The former are one statement if they
    /// are executed by themselves.
    pub(super) fn split<R: BulkRow>(rows: &[R]) -> Option<(&[R], &[R])> {
        let mut bytes = 0;
        let mut fit = 0_usize;
        for row in rows.iter().take(LENGTHS[LENGTHS.len() - 1]) {
            bytes += ROW_OVERHEAD + row.size();
            if fit > 0 && bytes > MAX_STATEMENT_BYTES {
                break;
            }
            fit += 1;
        }
        LENGTHS.iter().rfind(|&&length| length <= fit).map(|&length| rows.split_at(length))
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::mysql::inbox::InboxRow;

    fn rows(group: usize, receipts: usize) -> Option<usize> {
        let at = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let (group, event) = ("g".repeat(group), Uuid::from_u128(1));
        Bulk::split(&vec![InboxRow { group: &group, event, at }; receipts]).map(|(now, _)| now.len())
    }

    #[test]
    fn a_statement_has_as_many_rows_as_fit_into_one_record() {
        assert_eq!(rows(5, 0), None);
        assert_eq!(rows(5, 1), Some(1));
        assert_eq!(rows(5, 7), Some(7));
        assert_eq!(rows(5, 15), Some(8));
        assert_eq!(rows(5, 127), Some(64));
        assert_eq!(rows(5, 1_000), Some(128));
        // 160 rows of 100 bytes fit into a record, and so do 128 of 125.
        assert_eq!(rows(37, 1_000), Some(128));
        assert_eq!(rows(38, 1_000), Some(64));
        assert_eq!(rows(2_053, 1_000), Some(7));
        assert_eq!(rows(MAX_STATEMENT_BYTES, 1_000), Some(1), "a longer row is sent alone");
    }
}
