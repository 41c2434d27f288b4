//! The brokers and stores of the services.
#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "which are used depends on the features")]

#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
use kennel_testkit::broker_namespace::ProxiedBroker;

pub(crate) type Variables = Vec<(&'static str, String)>;

#[cfg(feature = "nats")]
pub(crate) async fn nats() -> Option<(Variables, ProxiedBroker)> {
    let broker = ProxiedBroker::nats().await?;
    Some((broker.direct().to_vec(), broker))
}

#[cfg(feature = "kafka")]
pub(crate) async fn kafka() -> Option<(Variables, ProxiedBroker)> {
    let broker = ProxiedBroker::kafka().await?;
    Some((broker.direct().to_vec(), broker))
}

#[cfg(feature = "rabbitmq")]
pub(crate) async fn rabbitmq() -> Option<(Variables, ProxiedBroker)> {
    let topics = [gifs_contracts::GIF_EVENTS, gifs_contracts::MEDIA_EVENTS];
    let broker = ProxiedBroker::rabbit(&topics, &["gif-files.downloader", "gif-storage.media"], 8).await?;
    Some((broker.direct().to_vec(), broker))
}

/// The broker, and a PostgreSQL that the members of gif-files share.
#[cfg(feature = "postgres")]
pub(crate) async fn with_postgres<R>(
    broker: impl Future<Output = Option<(Variables, R)>>,
) -> Option<(Variables, (R, kennel_testkit::TestDatabase))> {
    let (mut variables, broker) = broker.await?;
    let database = kennel_testkit::TestDatabase::postgres().await?;
    variables.extend([("GIF_FILES_STORAGE", "postgres".to_owned()), ("GIF_FILES_POSTGRES_DSN", database.dsn())]);
    Some((variables, (broker, database)))
}

/// The same, and a bucket.
#[cfg(all(feature = "postgres", feature = "s3"))]
pub(crate) async fn with_postgres_and_s3<R>(
    broker: impl Future<Output = Option<(Variables, R)>>,
) -> Option<(Variables, (R, kennel_testkit::TestDatabase, kennel_testkit::TestBucket))> {
    let (mut variables, (broker, database)) = with_postgres(broker).await?;
    let bucket = kennel_testkit::TestBucket::find()?;
    variables.extend(bucket.variables());
    Some((variables, (broker, database, bucket)))
}
