//! The program with every store and every broker: one story over gRPC, HTTP, the broker and the command line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backends;
mod media;
#[path = "../providers/scripted.rs"]
mod scripted;
mod secrets;
mod story;

/// The story with the variables that `$setup` returns; nothing when a server is missing.
macro_rules! story {
    ($name:ident, $setup:expr $(, $feature:literal)*) => {
        #[cfg(all($(feature = $feature),*))]
        mod $name {
            #[tokio::test]
            async fn gifs_are_found_published_listed_and_settled() {
                let Some((variables, _resources)) = $setup.await else { return };
                crate::story::story(&variables).await;
            }
        }
    };
}

story!(memory, async { Some((crate::backends::Variables::new(), ())) }, "sqlite");
story!(mysql, crate::backends::mysql(), "mysql");
story!(clickhouse, async { crate::backends::clickhouse() }, "clickhouse");
story!(postgres_nats, crate::backends::both(crate::backends::postgres(), crate::backends::nats()), "postgres", "nats");
story!(
    postgres_kafka,
    crate::backends::both(crate::backends::postgres(), crate::backends::kafka()),
    "postgres",
    "kafka"
);
story!(rabbitmq, crate::backends::rabbitmq(), "rabbitmq");
