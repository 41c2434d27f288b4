//! Forwards the driver's logs and errors.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

/// A client that only logs. The driver reconnects by itself, so that nothing here is logged as an error.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LoggingContext;

impl ClientContext for LoggingContext {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

impl ConsumerContext for LoggingContext {}

/// A client that detects when a topic that it reads is replaced by another one of the same name.
#[derive(Debug, Default)]
pub(super) struct ReplacementWatch(AtomicBool);

impl ReplacementWatch {
    pub(super) fn is_replaced(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl ClientContext for ReplacementWatch {
    fn log(&self, level: Level, facility: &str, message: &str) {
        if is_replacement(message) {
            self.0.store(true, Ordering::Release);
        }
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

impl ConsumerContext for ReplacementWatch {}

/// Enables the log lines that [`is_replacement`] recognizes.
///
/// The driver continues with the new topic at the old offset, so that nobody would receive the events before it. As of
/// librdkafka 2.12, it reports this only in its debug log.
pub(super) fn report_replacements(settings: &mut ClientConfig) {
    settings.set("debug", "topic").set_log_level(Level::Debug);
}

/// Returns whether a log line reports that the id of a known topic has changed.
pub(super) fn is_replacement(line: &str) -> bool {
    let ids = line.split_once(" changed id from ").and_then(|(_, ids)| ids.split_once(" to "));
    // The id is all zeros before the topic is known.
    ids.is_some_and(|(from, to)| from != to && from.bytes().any(|byte| byte != b'A'))
}

pub(super) fn log(level: Level, facility: &str, message: &str) {
    match level {
        // Connection errors. Permanent ones, such as a wrong password, are also passed to `report`.
        _ if matches!(facility, "FAIL" | "REQTMOUT") => debug(facility, message),
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::warn!(facility, text = message, "kafka client reports");
        }
        Level::Notice | Level::Info => debug(facility, message),
        Level::Debug => {}
    }
}

fn debug(facility: &str, message: &str) {
    tracing::debug!(facility, text = message, "kafka client reports");
}

pub(super) fn report(error: &KafkaError, reason: &str) {
    let cause = error as &dyn std::error::Error;
    if is_unreachable(error) {
        tracing::debug!(error = cause, reason, "kafka client is disconnected");
    } else {
        tracing::warn!(error = cause, reason, "kafka client failed");
    }
}

/// Returns whether the error means that a broker is unreachable. Each client reports that for each broker and attempt,
/// up to hundreds of times a second; the health check `broker` logs the begin and the end once.
fn is_unreachable(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;

    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::OperationTimedOut | Code::Resolve))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_password_is_not_an_unreachable_broker() {
        use rdkafka::types::RDKafkaErrorCode as Code;

        assert!(is_unreachable(&KafkaError::Global(Code::AllBrokersDown)));
        assert!(!is_unreachable(&KafkaError::Global(Code::Authentication)));
    }

    #[test]
    fn another_id_of_a_topic_that_was_there_is_a_replacement() {
        let zero = "A".repeat(22);
        for (line, expected) in [
            (
                "[thrd:main]: Topic dogs changed id from q3Jz0vYIQmKkqg4Vb3qOxw to 4pUu3w7bT4mUu3w7bT4mUA".to_owned(),
                true,
            ),
            (format!("[thrd:main]: Topic dogs changed id from {zero} to 4pUu3w7bT4mUu3w7bT4mUA"), false),
            ("[thrd:main]: Topic dogs [0]: leader 1 epoch 0".to_owned(), false),
        ] {
            assert_eq!(is_replacement(&line), expected, "{line}");
        }
    }
}
