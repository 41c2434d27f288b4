//! One program, any store, any broker: the same dog goes the same way, the same session reads the same, and the same
//! spans and metrics tell of it, on every pair of them.
//!
//! What has to be the same is in `session.txt`, `spans.txt` and `metrics.txt`. `UPDATE=1` writes them anew from what the
//! embedded pair does; all other pairs are held to them.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "a panic fails the test, and tests export nothing")]

mod golden;
mod mask;
mod metrics;
mod pair;
mod scenario;
mod session;
mod spans;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod way;

use support::service_dir;

/// One module for each pair, one test for each case in it.
macro_rules! pairs {
    ($($(#[$part:meta])* $name:ident($store:ident, $broker:ident);)+) => { $(
        $(#[$part])*
        mod $name {
            use dogs_storages::Storage;
            use kennel_broker::Backend;

            use crate::pair::Pair;
            use crate::scenario::Told;

            const PAIR: Pair = Pair { store: Storage::$store, broker: Backend::$broker };
            /// Spans and metrics are of the same run.
            static TOLD: Told = Told::const_new();

            #[tokio::test]
            async fn a_dog_goes_all_the_way() {
                crate::way::check(PAIR).await;
            }

            #[tokio::test]
            async fn the_session_reads_the_same() {
                crate::session::check(PAIR).await;
            }

            #[tokio::test]
            async fn the_spans_are_the_same() {
                crate::spans::check(PAIR, &TOLD).await;
            }

            #[tokio::test]
            async fn the_metrics_are_the_same() {
                crate::metrics::check(PAIR, &TOLD).await;
            }
        }
    )+ };
}

pairs! {
    #[cfg(feature = "sqlite")]
    sqlite_memory(Sqlite, Memory);
    #[cfg(all(feature = "sqlite", feature = "nats"))]
    sqlite_nats(Sqlite, Nats);
    #[cfg(all(feature = "sqlite", feature = "kafka"))]
    sqlite_kafka(Sqlite, Kafka);
    #[cfg(all(feature = "sqlite", feature = "rabbitmq"))]
    sqlite_rabbitmq(Sqlite, RabbitMq);
    #[cfg(feature = "postgres")]
    postgres_memory(Postgres, Memory);
    #[cfg(all(feature = "postgres", feature = "nats"))]
    postgres_nats(Postgres, Nats);
    #[cfg(all(feature = "postgres", feature = "kafka"))]
    postgres_kafka(Postgres, Kafka);
    #[cfg(all(feature = "postgres", feature = "rabbitmq"))]
    postgres_rabbitmq(Postgres, RabbitMq);
    #[cfg(feature = "mysql")]
    mysql_memory(Mysql, Memory);
    #[cfg(all(feature = "mysql", feature = "nats"))]
    mysql_nats(Mysql, Nats);
    #[cfg(all(feature = "mysql", feature = "kafka"))]
    mysql_kafka(Mysql, Kafka);
    #[cfg(all(feature = "mysql", feature = "rabbitmq"))]
    mysql_rabbitmq(Mysql, RabbitMq);
    #[cfg(feature = "clickhouse")]
    clickhouse_memory(Clickhouse, Memory);
    #[cfg(all(feature = "clickhouse", feature = "nats"))]
    clickhouse_nats(Clickhouse, Nats);
    #[cfg(all(feature = "clickhouse", feature = "kafka"))]
    clickhouse_kafka(Clickhouse, Kafka);
    #[cfg(all(feature = "clickhouse", feature = "rabbitmq"))]
    clickhouse_rabbitmq(Clickhouse, RabbitMq);
}
