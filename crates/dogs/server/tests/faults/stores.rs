//! Separate stores per test, as environment variables.

#[cfg(feature = "clickhouse")]
use kennel_testkit::TestClickHouse;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use kennel_testkit::TestDatabase;

pub type Variables = Vec<(&'static str, String)>;

/// The file in the service directory.
#[cfg(feature = "sqlite")]
pub async fn sqlite() -> Option<((), Variables)> {
    Some(((), vec![("STORAGE", "sqlite".to_owned())]))
}

#[cfg(feature = "postgres")]
pub async fn postgres() -> Option<(TestDatabase, Variables)> {
    let database = TestDatabase::postgres().await?;
    let variables = vec![("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())];
    Some((database, variables))
}

#[cfg(feature = "mysql")]
pub async fn mysql() -> Option<(TestDatabase, Variables)> {
    let database = TestDatabase::mysql().await?;
    let variables = vec![("STORAGE", "mysql".to_owned()), ("MYSQL_DSN", database.dsn())];
    Some((database, variables))
}

#[cfg(feature = "clickhouse")]
pub async fn clickhouse() -> Option<(TestClickHouse, Variables)> {
    let database = TestClickHouse::create()?;
    let variables = vec![("STORAGE", "clickhouse".to_owned()), ("CLICKHOUSE_DSN", database.dsn())];
    Some((database, variables))
}

/// Expands to a module per store, with a test per case.
macro_rules! on_stores {
    ($cases:tt on $($feature:literal $store:ident),+ $(,)?) => { $(
        #[cfg(feature = $feature)]
        mod $store {
            $crate::stores::on_store!($store $cases);
        }
    )+ };
}

macro_rules! on_store {
    ($store:ident { $($case:ident)+ }) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some((_database, variables)) = $crate::stores::$store().await else { return };
            super::$case(&variables).await;
        }
    )+ };
}

pub(crate) use {on_store, on_stores};
