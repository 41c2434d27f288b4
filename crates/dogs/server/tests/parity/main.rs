//! The service behaves the same with every pair of store and broker: the same session has the same responses, and the same
//! steps produce the same spans and metrics.
//!
//! The expected results are in `session.txt`, `spans.txt` and `metrics.txt`. `UPDATE=1` writes them from the results of the
//! embedded pair; all other pairs must match them.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "a panic fails the test, and tests export nothing")]

mod end_to_end;
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

use support::service_dir;

/// Expands to a module per pair, with a test per case.
macro_rules! pairs {
    ($($(#[$attribute:meta])* $name:ident($store:ident, $broker:ident);)+) => { $(
        $(#[$attribute])*
        mod $name {
            use kennel_storage::Storage;
            use kennel_broker::Backend;

            use crate::pair::Pair;
            use crate::scenario::SharedRun;

            const PAIR: Pair = Pair { store: Storage::$store, broker: Backend::$broker };
            /// Spans and metrics are checked with the same run.
            static RUN: SharedRun = SharedRun::const_new();

            #[tokio::test]
            async fn a_dog_goes_through_all_components() {
                crate::end_to_end::check(PAIR).await;
            }

            #[tokio::test]
            async fn the_session_is_the_same() {
                crate::session::check(PAIR).await;
            }

            #[tokio::test]
            async fn the_spans_are_the_same() {
                crate::spans::check(PAIR, &RUN).await;
            }

            #[tokio::test]
            async fn the_metrics_are_the_same() {
                crate::metrics::check(PAIR, &RUN).await;
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
