//! The program with every store and every broker, and killed at any point.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backends;
mod commands;
mod kills;
#[cfg(feature = "s3")]
mod outages;
mod running;
mod story;
#[path = "../support/upstream.rs"]
mod upstream;

/// The tests with the variables that `$setup` returns; nothing when a server is missing.
macro_rules! suite {
    ($name:ident, $setup:expr, kills: $kills:expr $(, $feature:literal)+) => {
        #[cfg(all($(feature = $feature),+))]
        mod $name {
            #[tokio::test]
            async fn gifs_are_downloaded_reported_and_returned() {
                let Some((variables, _resources)) = $setup.await else { return };
                crate::story::story(&variables).await;
            }

            #[tokio::test]
            async fn kills_at_any_point_lose_and_double_nothing() {
                let Some((variables, _resources)) = $setup.await else { return };
                crate::kills::kills(&variables, $kills).await;
            }
        }
    };
}

/// A test of an outage of the object store with the broker of `$setup`.
macro_rules! outage {
    ($name:ident, $setup:expr $(, $feature:literal)*) => {
        #[cfg(all(feature = "s3" $(, feature = $feature)*))]
        mod $name {
            #[tokio::test]
            async fn events_wait_until_the_object_store_is_back() {
                let Some((variables, _resources)) = $setup.await else { return };
                crate::outages::outage(&variables).await;
            }
        }
    };
}

outage!(s3_memory, async { Some((crate::backends::Variables::new(), ())) });
outage!(s3_nats, crate::backends::nats(), "nats");
outage!(s3_kafka, crate::backends::kafka(), "kafka");
outage!(s3_rabbitmq, crate::backends::rabbitmq(), "rabbitmq");
suite!(sqlite_memory, async { Some((crate::backends::Variables::new(), ())) }, kills: 20, "sqlite");
suite!(sqlite_nats, crate::backends::nats(), kills: 20, "sqlite", "nats");
suite!(
    postgres_kafka_s3,
    crate::backends::both(
        crate::backends::both(crate::backends::postgres(), crate::backends::kafka()),
        async { crate::backends::s3() }
    ),
    kills: 20,
    "postgres",
    "kafka",
    "s3"
);
suite!(
    mysql_rabbitmq,
    crate::backends::both(crate::backends::mysql(), crate::backends::rabbitmq()),
    kills: 5,
    "mysql",
    "rabbitmq"
);
suite!(
    clickhouse_nats,
    crate::backends::both(async { crate::backends::clickhouse() }, crate::backends::nats()),
    kills: 5,
    "clickhouse",
    "nats"
);
