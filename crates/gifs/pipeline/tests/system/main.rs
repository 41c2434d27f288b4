//! The three services in processes of their own, over every broker: one trace through all of them, and what a killed process
//! leaves behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backends;
mod kills;
mod provider;
mod system;
mod traces;

/// The tests with the variables that `$setup` returns; nothing when a server is missing.
macro_rules! suite {
    ($name:ident, $setup:expr $(, kills: $kills:ident)? $(, $feature:literal)*) => {
        #[cfg(all($(feature = $feature,)*))]
        mod $name {
            #[tokio::test]
            async fn a_search_and_its_files_are_one_trace() {
                let Some((variables, _resources)) = $setup.await else { return };
                crate::traces::check(&variables).await;
            }

            $(#[tokio::test]
            async fn kills_and_rebalances_lose_and_double_nothing() {
                let Some((variables, _resources)) = crate::backends::$kills($setup).await else { return };
                crate::kills::check(&variables).await;
            })?
        }
    };
}

suite!(memory, async { Some((crate::backends::Variables::new(), ())) });
suite!(nats, crate::backends::nats(), kills: with_postgres, "nats", "postgres");
suite!(kafka, crate::backends::kafka(), kills: with_postgres_and_s3, "kafka", "postgres", "s3");
suite!(rabbitmq, crate::backends::rabbitmq(), "rabbitmq");
