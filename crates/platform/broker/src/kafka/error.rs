//! Sorts what the driver reports.

use kennel_core::RepoError;
use kennel_core::broker::BrokerError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A setting that the driver does not take. Its value may be a secret and is kept out.
#[derive(Debug, thiserror::Error)]
#[error("kafka client refuses the setting `{0}`")]
struct Refused(String);

/// A topic that is read has been removed, or replaced by another one of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("topic has been removed or replaced")]
pub(super) struct Removed;

impl From<Removed> for BrokerError {
    fn from(removed: Removed) -> Self {
        Self::Unavailable(removed.into())
    }
}

/// Whether a client that reads was answered that its topic does not exist.
pub(super) fn is_removed(error: &KafkaError) -> bool {
    let missing = [Code::UnknownTopic, Code::UnknownTopicOrPartition, Code::UnknownPartition];
    error.rdkafka_error_code().is_some_and(|code| missing.contains(&code))
}

/// Sorts driver errors.
pub(super) fn classify(error: KafkaError) -> BrokerError {
    match error {
        KafkaError::ClientConfig(_, _, key, _) => BrokerError::Backend(Refused(key).into()),
        error if is_passing(&error) => BrokerError::Unavailable(error.into()),
        error => BrokerError::Backend(error.into()),
    }
}

/// As [`classify`], for dead letters.
pub(super) fn classify_letters(error: BrokerError) -> RepoError {
    match error {
        BrokerError::Unavailable(source) => RepoError::Unavailable(source),
        BrokerError::Corrupt(source) => RepoError::Corrupt(source),
        error => RepoError::Backend(error.into()),
    }
}

/// Whether trying again later may help.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    match error {
        KafkaError::Canceled => true,
        KafkaError::AdminOp(code) => is_passing_code(*code),
        _ => error.rdkafka_error_code().is_some_and(is_passing_code),
    }
}

const fn is_passing_code(code: Code) -> bool {
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
    fn what_may_pass_is_told_from_what_stays() {
        for passing in [
            KafkaError::MessageProduction(Code::MessageTimedOut),
            KafkaError::AdminOp(Code::OperationTimedOut),
            KafkaError::Canceled,
        ] {
            assert!(matches!(classify(passing), BrokerError::Unavailable(_)));
        }
        let staying = classify(KafkaError::MessageProduction(Code::TopicAuthorizationFailed));
        assert!(matches!(staying, BrokerError::Backend(_)));
    }

    #[test]
    fn a_refused_setting_is_named_without_its_value() {
        let refused = ClientConfig::new().set("socket.timeout.ms", "barks").create::<BaseConsumer>();
        let BrokerError::Backend(source) = classify(refused.err().unwrap()) else { panic!("stays") };
        assert_eq!(source.to_string(), "kafka client refuses the setting `socket.timeout.ms`");
    }
}
