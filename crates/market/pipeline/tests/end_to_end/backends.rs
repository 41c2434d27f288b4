//! The stores and brokers that the system runs with.
#![allow(dead_code, clippy::allow_attributes, reason = "which are used depends on the features")]

pub(crate) type Variables = Vec<(&'static str, String)>;

#[cfg(all(feature = "postgres", feature = "kafka"))]
pub(crate) async fn postgres_kafka() -> Option<(Variables, impl Sized)> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::kafka().await?;
    let store = [("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())];
    Some((store.into_iter().chain(broker.direct().iter().cloned()).collect(), (database, broker)))
}

/// With a cache that collectors share.
#[cfg(all(feature = "postgres", feature = "kafka", feature = "redis"))]
pub(crate) async fn postgres_kafka_redis() -> Option<(Variables, impl Sized)> {
    let redis = kennel_testkit::Backend::Redis.address()?;
    let (mut variables, resources) = postgres_kafka().await?;
    variables.extend([("CACHE", "redis".to_owned()), ("REDIS_ADDR", redis)]);
    Some((variables, resources))
}

#[cfg(all(feature = "mysql", feature = "nats"))]
pub(crate) async fn mysql_nats() -> Option<(Variables, impl Sized)> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::nats().await?;
    let store = [("STORAGE", "mysql".to_owned()), ("MYSQL_DSN", database.dsn())];
    Some((store.into_iter().chain(broker.direct().iter().cloned()).collect(), (database, broker)))
}
