//! Conformance suite for every store and for the decorators: tests each statement of the ports' documentation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batching;
mod cases;
mod copies;
mod dead_letters;
mod dogs;
mod fixtures;
mod imports;
mod inbox;
mod outbox;
mod pages;
mod retention;

#[cfg(feature = "sqlite")]
mod sqlite {
    //! SQLite without decorators.
    crate::cases::store_conformance!(crate::fixtures::sqlite);
}

#[cfg(feature = "sqlite")]
mod decorated {
    //! SQLite with spans, metrics and the cache.
    crate::cases::store_conformance!(crate::fixtures::decorated);
}

#[cfg(feature = "postgres")]
mod postgres {
    //! A real `PostgreSQL`, a database per case.
    crate::cases::store_conformance!(crate::fixtures::postgres);
}

#[cfg(feature = "postgres")]
mod pgbouncer {
    //! A real `PostgreSQL` behind a `PgBouncer` in transaction mode.
    crate::cases::store_conformance!(crate::fixtures::pgbouncer);
}

#[cfg(feature = "mysql")]
mod mysql {
    //! A real MySQL or `MariaDB`, a database per case.
    crate::cases::store_conformance!(crate::fixtures::mysql);
}

#[cfg(feature = "clickhouse")]
mod clickhouse {
    //! A real ClickHouse, a database per case.
    crate::cases::store_conformance!(crate::fixtures::clickhouse);
}
