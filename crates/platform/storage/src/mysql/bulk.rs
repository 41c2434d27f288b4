//! Writes many rows with few statements.

use std::array;

use kennel_core::{Event, Receipt, RepoError};
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{MySql, MySqlConnection};

use super::classify;

/// Number of statements: for 1, 2, 4 and so on up to 128 rows.
const LENGTHS: usize = 8;
/// Maximum bytes of rows per statement, so that it fits into one TLS record of 16 KiB. The driver sends each record
/// separately with Nagle's algorithm enabled (sqlx 0.9.0, its issue 4335): with packets as large as on loopback, a
/// second record waits 40 ms for an acknowledgement, which made a copy over TLS 16 times slower than without TLS.
const MAX_STATEMENT_BYTES: usize = 16_000;
/// Maximum bytes of a row in addition to its texts: types, lengths, id, numbers and times.
const ROW_OVERHEAD: usize = 88;

/// A row of a statement.
pub trait BulkRow: Sync {
    /// The bytes of its texts and its binary data.
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

impl BulkRow for Receipt {
    fn size(&self) -> usize {
        self.group.len()
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, MySql, MySqlArguments>,
    ) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        Ok(query.bind(self.group.as_bytes()).bind(self.event).bind(self.at.as_millis()))
    }
}

/// A statement in a few fixed lengths, so that all of them stay prepared for every number of rows.
///
/// A statement of another length would be prepared for itself, and would evict one from the connection's cache. That costs
/// more than the request: the driver closes the evicted one with a packet that has no response, and what it sends next
/// waits 40 ms for its acknowledgement (sqlx 0.9.0, `findings/sqlx_mysql_closed_statement.sh`).
#[derive(Debug)]
pub struct Bulk([String; LENGTHS]);

impl Bulk {
    /// `statement` returns the statement for a number of rows.
    pub fn new(statement: impl Fn(usize) -> String) -> Self {
        Self(array::from_fn(|power| statement(1 << power)))
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
        while let Some((now, later)) = Self::split(rows) {
            let mut query = sqlx::query(self.0[now.len().ilog2() as usize].as_str());
            for row in now {
                query = row.bind(query)?;
            }
            query.execute(&mut *connection).await.map_err(classify)?;
            rows = later;
        }
        Ok(())
    }

    /// The rows of the first statement, and those of later ones; `None` without rows.
    pub fn split<R: BulkRow>(rows: &[R]) -> Option<(&[R], &[R])> {
        let mut bytes = 0;
        let mut fit = 0_usize;
        for row in rows.iter().take(1 << (LENGTHS - 1)) {
            bytes += ROW_OVERHEAD + row.size();
            if fit > 0 && bytes > MAX_STATEMENT_BYTES {
                break;
            }
            fit += 1;
        }
        Some(rows.split_at(1 << fit.checked_ilog2()?))
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn rows(group: usize, receipts: usize) -> Option<usize> {
        let at = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let receipt = Receipt { group: "g".repeat(group), event: Uuid::from_u128(1), at };
        Bulk::split(&vec![receipt; receipts]).map(|(now, _)| now.len())
    }

    #[test]
    fn a_statement_has_as_many_rows_as_fit_into_one_record() {
        assert_eq!(rows(5, 0), None);
        assert_eq!(rows(5, 1), Some(1));
        assert_eq!(rows(5, 127), Some(64));
        assert_eq!(rows(5, 1_000), Some(128));
        // 160 rows of 100 bytes fit into a record, and so do 128 of 125.
        assert_eq!(rows(37, 1_000), Some(128));
        assert_eq!(rows(38, 1_000), Some(64));
        assert_eq!(rows(2_053, 1_000), Some(4));
        assert_eq!(rows(MAX_STATEMENT_BYTES, 1_000), Some(1), "a longer row is sent alone");
    }
}
