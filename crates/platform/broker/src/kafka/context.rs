//! Passes what the driver says on to the log.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// A client without business of its own. The driver mends connections itself, so that nothing here is an error.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

pub(super) fn log(level: Level, facility: &str, message: &str) {
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::warn!(facility, said = message, "kafka client reports");
        }
        Level::Notice | Level::Info | Level::Debug => tracing::debug!(facility, said = message, "kafka client reports"),
    }
}

pub(super) fn report(error: &KafkaError, reason: &str) {
    tracing::warn!(error = error as &dyn std::error::Error, reason, "kafka client is in trouble");
}
