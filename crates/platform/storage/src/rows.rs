//! Rows of any SQL database, read by column name.

use kennel_core::{Event, RepoError, Timestamp, TraceContext};
use sqlx::error::UnexpectedNullError;
use sqlx::{ColumnIndex, Database, Decode, Row, Type};
use uuid::Uuid;

use crate::classify;

/// Access to the columns of a row. A null in a required column is an error, even with a driver that would read it as an
/// empty value.
pub trait Columns {
    /// A text column.
    fn text(&self, column: &'static str) -> Result<String, sqlx::Error> {
        self.maybe_text(column)?.ok_or_else(|| null(column))
    }

    /// A nullable text column.
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>, sqlx::Error>;

    /// A signed integer column.
    fn number(&self, column: &'static str) -> Result<i64, sqlx::Error>;

    /// A binary column.
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, sqlx::Error>;

    /// A UUID column.
    fn id(&self, column: &'static str) -> Result<Uuid, sqlx::Error>;

    /// A time, stored as milliseconds since the Unix epoch.
    fn time(&self, column: &'static str) -> Result<Timestamp, sqlx::Error> {
        timestamp(self.number(column)?)
    }
}

/// A type that a driver can decode.
pub trait Value<D: Database>: for<'r> Decode<'r, D> + Type<D> {}

impl<D: Database, T: for<'r> Decode<'r, D> + Type<D>> Value<D> for T {}

impl<R: Row> Columns for R
where
    for<'c> &'c str: ColumnIndex<R>,
    Option<String>: Value<R::Database>,
    Option<i64>: Value<R::Database>,
    Option<Vec<u8>>: Value<R::Database>,
    Option<Uuid>: Value<R::Database>,
{
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &'static str) -> Result<i64, sqlx::Error> {
        self.try_get::<Option<i64>, _>(column)?.ok_or_else(|| null(column))
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, sqlx::Error> {
        self.try_get::<Option<Vec<u8>>, _>(column)?.ok_or_else(|| null(column))
    }

    fn id(&self, column: &'static str) -> Result<Uuid, sqlx::Error> {
        self.try_get::<Option<Uuid>, _>(column)?.ok_or_else(|| null(column))
    }
}

fn null(column: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(UnexpectedNullError) }
}

/// Reads an event from a row with an event's columns.
pub(crate) fn event(row: &impl Columns) -> Result<Event, sqlx::Error> {
    let (traceparent, tracestate) = (row.maybe_text("traceparent")?, row.maybe_text("tracestate")?);
    Ok(Event {
        id: row.id("id")?,
        name: row.text("name")?,
        source: row.text("source")?,
        topic: row.text("topic")?,
        key: row.text("key")?,
        time: row.time("time")?,
        content_type: row.text("content_type")?,
        data: row.bytes("data")?.into(),
        trace: traceparent.map(|traceparent| TraceContext { traceparent, tracestate }),
    })
}

/// Applies `read` to every row.
pub(crate) fn read_all<R, T>(rows: &[R], read: impl Fn(&R) -> Result<T, sqlx::Error>) -> Result<Vec<T>, RepoError> {
    rows.iter().map(read).collect::<Result<_, _>>().map_err(classify)
}

pub(crate) fn timestamp(millis: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_millis(millis).map_err(|error| sqlx::Error::Decode(error.into()))
}
