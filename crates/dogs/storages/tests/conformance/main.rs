//! One list of cases for every store and for the decorators: each line of the ports' documentation, seen to hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
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
