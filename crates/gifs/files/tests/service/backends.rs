//! The stores and brokers that the program runs with.
#![allow(dead_code, clippy::allow_attributes, reason = "which are used depends on the features")]

pub(crate) type Variables = Vec<(&'static str, String)>;

/// The variables and resources of two backends; `None` if one is missing.
pub(crate) async fn both<A, B>(
    one: impl Future<Output = Option<(Variables, A)>>,
    other: impl Future<Output = Option<(Variables, B)>>,
) -> Option<(Variables, (A, B))> {
    let ((one, a), (other, b)) = (one.await?, other.await?);
    Some(([one, other].concat(), (a, b)))
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<(Variables, kennel_testkit::TestDatabase)> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some((vec![("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())], database))
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<(Variables, kennel_testkit::TestDatabase)> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some((vec![("STORAGE", "mysql".to_owned()), ("MYSQL_DSN", database.dsn())], database))
}

#[cfg(feature = "clickhouse")]
pub(crate) fn clickhouse() -> Option<(Variables, kennel_testkit::TestClickHouse)> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some((vec![("STORAGE", "clickhouse".to_owned()), ("CLICKHOUSE_DSN", database.dsn())], database))
}

#[cfg(feature = "s3")]
pub(crate) fn s3() -> Option<(Variables, kennel_testkit::TestBucket)> {
    let bucket = kennel_testkit::TestBucket::find()?;
    Some((bucket.variables().to_vec(), bucket))
}

#[cfg(feature = "nats")]
pub(crate) async fn nats() -> Option<(Variables, kennel_testkit::broker_namespace::ProxiedBroker)> {
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::nats().await?;
    Some((broker.direct().to_vec(), broker))
}

#[cfg(feature = "kafka")]
pub(crate) async fn kafka() -> Option<(Variables, kennel_testkit::broker_namespace::ProxiedBroker)> {
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::kafka().await?;
    Some((broker.direct().to_vec(), broker))
}

#[cfg(feature = "rabbitmq")]
pub(crate) async fn rabbitmq() -> Option<(Variables, kennel_testkit::broker_namespace::ProxiedBroker)> {
    let topics = [gifs_contracts::GIF_EVENTS, gifs_contracts::MEDIA_EVENTS];
    let groups = [gif_files::Downloader::GROUP, "test"];
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::rabbit(&topics, &groups, 8).await?;
    Some((broker.direct().to_vec(), broker))
}
