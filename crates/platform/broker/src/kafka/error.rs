//! Classification of driver errors.

use kennel_core::RepoError;
use kennel_core::broker::BrokerError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The driver rejects a setting. The error does not contain its value, which may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("kafka client rejects the setting `{0}`")]
struct SettingRefused(String);

/// A topic that is read was deleted, or replaced by another one of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("topic was deleted or replaced")]
pub(super) struct TopicRemoved;

/// The driver knows no broker any more; see `BrokerWatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("kafka client has lost all brokers")]
pub(super) struct BrokersLost;

impl From<BrokersLost> for BrokerError {
    fn from(lost: BrokersLost) -> Self {
        Self::Unavailable(lost.into())
    }
}

impl From<TopicRemoved> for BrokerError {
    fn from(removed: TopicRemoved) -> Self {
        Self::Unavailable(removed.into())
    }
}

/// Returns whether a consumer's error means that its topic does not exist.
pub(super) fn is_topic_removed(error: &KafkaError) -> bool {
    let missing = [Code::UnknownTopic, Code::UnknownTopicOrPartition, Code::UnknownPartition];
    error.rdkafka_error_code().is_some_and(|code| missing.contains(&code))
}

/// Classifies driver errors.
pub(super) fn classify(error: KafkaError) -> BrokerError {
    match error {
        KafkaError::ClientConfig(_, _, key, _) => BrokerError::Backend(SettingRefused(key).into()),
        error if is_transient(&error) => BrokerError::Unavailable(error.into()),
        error => BrokerError::Backend(error.into()),
    }
}

/// Like [`classify`], for dead letters.
pub(super) fn classify_dead_letter(error: BrokerError) -> RepoError {
    match error {
        BrokerError::Unavailable(source) => RepoError::Unavailable(source),
        BrokerError::Corrupt(source) => RepoError::Corrupt(source),
        error => RepoError::Backend(error.into()),
    }
}

/// Returns whether a retry may help.
pub(super) fn is_transient(error: &KafkaError) -> bool {
    match error {
        KafkaError::Canceled => true,
        KafkaError::AdminOp(code) => is_transient_code(*code),
        _ => error.rdkafka_error_code().is_some_and(is_transient_code),
    }
}

const fn is_transient_code(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerDestroy
            | Code::BrokerNotAvailable
            | Code::BrokerTransportFailure
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::LeaderNotAvailable
            | Code::MessageTimedOut
            | Code::NetworkException
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::NotLeaderForPartition
            | Code::OperationTimedOut
            | Code::PurgeInflight
            | Code::PurgeQueue
            | Code::QueueFull
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::TimedOutQueue
            | Code::UnknownPartition
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::WaitingForCoordinator
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn transient_and_permanent_errors_are_distinguished() {
        for transient in [
            KafkaError::MessageProduction(Code::MessageTimedOut),
            KafkaError::AdminOp(Code::OperationTimedOut),
            KafkaError::Canceled,
        ] {
            assert!(matches!(classify(transient), BrokerError::Unavailable(_)));
        }
        let permanent = classify(KafkaError::MessageProduction(Code::TopicAuthorizationFailed));
        assert!(matches!(permanent, BrokerError::Backend(_)));
    }

    #[test]
    fn a_rejected_setting_is_named_without_its_value() {
        let rejected = ClientConfig::new().set("socket.timeout.ms", "barks").create::<BaseConsumer>();
        let BrokerError::Backend(source) = classify(rejected.err().unwrap()) else { panic!("not permanent") };
        assert_eq!(source.to_string(), "kafka client rejects the setting `socket.timeout.ms`");
    }
}
