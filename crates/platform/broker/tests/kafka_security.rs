//! Authentication and TLS with Kafka.
//!
//! `TEST_KAFKA_SASL_BROKERS` is a `SASL_SSL` listener with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, and
//! `TEST_KAFKA_CA_CERT` the authority of its certificate. The user `TEST_KAFKA_USERNAME` has the password
//! `TEST_KAFKA_PASSWORD` in each mechanism. Without such a listener these tests are skipped with a message.
#![cfg(feature = "kafka")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "servers/kafka_events.rs"]
mod kafka_events;

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker as _;
use kennel_broker::kafka::{Auth, KafkaBroker, KafkaConfig};
use kennel_core::broker::BrokerError;
use kennel_core::{IdSource as _, Publisher as _, SystemClock, UuidV7};
use kennel_testkit::Backend;

use self::kafka_events::{assert_nothing_more, event, eventually, join, settle};

fn config(auth: Auth) -> Option<KafkaConfig> {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let mut config = KafkaConfig::at(Backend::KafkaSasl.address()?);
    config.kafka_auth_type = auth;
    config.kafka_username = Some(variable("TEST_KAFKA_USERNAME"));
    config.kafka_password = Some(variable("TEST_KAFKA_PASSWORD").into());
    config.kafka_tls_enabled = true;
    config.kafka_tls_ca_cert = Some(variable("TEST_KAFKA_CA_CERT").into());
    config.tuning.publish_timeout = Duration::from_secs(3);
    Some(config)
}

fn broker(config: &KafkaConfig) -> KafkaBroker {
    KafkaBroker::connect(config, NonZeroUsize::MIN, Arc::new(SystemClock)).unwrap()
}

fn topic() -> String {
    format!("test-{}.secured", UuidV7.next().simple())
}

/// Returns the texts of the error and its causes.
fn texts(error: &BrokerError) -> String {
    let (mut texts, mut cause) = (vec![format!("{error} {error:?}")], error.source());
    while let Some(error) = cause {
        texts.push(format!("{error} {error:?}"));
        cause = error.source();
    }
    texts.concat()
}

#[tokio::test]
async fn each_authentication_mechanism_works() {
    for auth in [Auth::Plain, Auth::ScramSha256, Auth::ScramSha512] {
        let Some(config) = config(auth) else { return };
        let (broker, topic) = (broker(&config), topic());
        broker.publish(&[event(&topic, 1, "rex")]).await.unwrap();
        let mut member = join(&broker, &topic, "g").await;
        assert_eq!(settle(&mut member, 1).await, [1], "{auth:?}");
        assert_nothing_more(&mut member).await;
        let is_settled = async || (broker.lag().await.unwrap()[0].events == 0).then_some(());
        eventually("settled events are committed", is_settled).await;
        broker.close().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected_and_not_logged() {
    for auth in [Auth::Plain, Auth::ScramSha256, Auth::ScramSha512] {
        let Some(mut config) = config(auth) else { return };
        config.kafka_password = Some("not-the-password".into());
        let rejected = broker(&config).publish(&[event(&topic(), 1, "rex")]).await.unwrap_err();
        assert!(!texts(&rejected).contains("not-the-password"), "{auth:?}");
    }
}

#[tokio::test]
async fn a_cluster_without_a_known_certificate_is_trusted_only_with_skip_verify() {
    let Some(mut config) = config(Auth::ScramSha512) else { return };
    config.kafka_tls_ca_cert = None;
    broker(&config).publish(&[event(&topic(), 1, "rex")]).await.unwrap_err();
    config.kafka_tls_skip_verify = true;
    config.kafka_tls_allow_insecure = true;
    broker(&config).publish(&[event(&topic(), 1, "rex")]).await.unwrap();
}
