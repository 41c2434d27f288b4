//! The program with every store and every broker: one story over HTTP and gRPC.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod story;

/// The story with the variables that `$setup` returns; nothing when a server is missing.
macro_rules! story {
    ($name:ident, $feature:literal, $setup:expr) => {
        #[cfg(feature = $feature)]
        mod $name {
            #[tokio::test]
            async fn a_note_is_created_listed_published_and_deleted() {
                let Some((variables, _resource)) = $setup.await else { return };
                crate::story::story(&variables).await;
            }
        }
    };
}

story!(sqlite, "sqlite", async { Some((crate::story::Variables::new(), ())) });
story!(postgres, "postgres", crate::story::postgres());
story!(mysql, "mysql", crate::story::mysql());
story!(clickhouse, "clickhouse", async { crate::story::clickhouse() });
story!(nats, "nats", crate::story::nats());
story!(kafka, "kafka", crate::story::kafka());
story!(rabbitmq, "rabbitmq", crate::story::rabbitmq());
