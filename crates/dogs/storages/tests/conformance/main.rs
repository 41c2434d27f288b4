//! One list of cases for every store and for the decorators: each line of the ports' documentation, seen to hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod copies;
mod dogs;
mod fixtures;
mod imports;
mod inbox;
mod letters;
mod outbox;
mod pages;

#[cfg(feature = "sqlite")]
mod sqlite {
    //! SQLite as it is.
    crate::cases::store_conformance!(crate::fixtures::sqlite);
}

#[cfg(feature = "sqlite")]
mod decorated {
    //! SQLite behind spans, metrics and the cache.
    crate::cases::store_conformance!(crate::fixtures::decorated);
}

#[cfg(feature = "postgres")]
mod postgres {
    //! A real `PostgreSQL`, a database for each case.
    crate::cases::store_conformance!(crate::fixtures::postgres);
}

#[cfg(feature = "postgres")]
mod pgbouncer {
    //! A real `PostgreSQL` behind a `PgBouncer` that hands its connections out by the transaction.
    crate::cases::store_conformance!(crate::fixtures::pgbouncer);
}

#[cfg(feature = "mysql")]
mod mysql {
    //! A real MySQL or `MariaDB`, a database for each case.
    crate::cases::store_conformance!(crate::fixtures::mysql);
}

#[cfg(feature = "clickhouse")]
mod clickhouse {
    //! A real ClickHouse, a database for each case.
    crate::cases::store_conformance!(crate::fixtures::clickhouse);
}
