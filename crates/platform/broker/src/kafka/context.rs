//! Forwards the driver's logs and errors.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// The statistics are read this often; see [`BrokerWatch`].
const STATISTICS_INTERVAL: Duration = Duration::from_secs(5);
/// With so many statistics in a row without a broker, a client has lost them: one may be taken while it looks for them.
const LOST_AFTER: u32 = 2;

/// Detects a client that has no broker left.
///
/// A starting cluster can say for a moment that it has no brokers. The driver then forgets those that it knows, and
/// starts again with the configured ones. If that comes together with a good response, it never does, as of librdkafka
/// 2.12.1 (issue 5301, and the second part of pull request 5606), and reports nothing: the client has to be replaced.
/// Clones share what they know.
#[derive(Debug, Clone, Default)]
pub(super) struct BrokerWatch(Arc<AtomicU32>);

impl BrokerWatch {
    /// Enables the statistics.
    pub(super) fn enable(settings: &mut ClientConfig) {
        settings.set("statistics.interval.ms", STATISTICS_INTERVAL.as_millis().to_string());
    }

    /// Reads the driver's statistics, which is JSON. Brokers are configured or learned; a coordinator is a logical one.
    pub(super) fn read(&self, statistics: &[u8]) {
        let names = |source: &[u8]| statistics.windows(source.len()).any(|window| window == source);
        if names(br#""source":"learned""#) || names(br#""source":"configured""#) {
            self.0.store(0, Ordering::Release);
        } else {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Acquire) >= LOST_AFTER
    }
}

impl ClientContext for BrokerWatch {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.read(statistics);
    }
}

/// Detects when a topic is replaced by another one of the same name. Clones share what they know, so that a client that
/// replaces another one detects what happened in between.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplacementWatch(Arc<TopicIds>);

#[derive(Debug, Default)]
struct TopicIds {
    /// The first known id of each topic.
    first: Mutex<HashMap<String, String>>,
    is_replaced: AtomicBool,
}

impl ReplacementWatch {
    pub(super) fn is_replaced(&self) -> bool {
        self.0.is_replaced.load(Ordering::Acquire)
    }

    /// Reads a line of the driver's log; returns whether it reports that a known topic was replaced.
    pub(super) fn read(&self, line: &str) -> bool {
        let Some((topic, id)) = new_id(line) else { return false };
        let is_other = match self.0.first.lock().unwrap_or_else(PoisonError::into_inner).entry(topic.to_owned()) {
            Entry::Occupied(first) => first.get() != id,
            Entry::Vacant(first) => {
                first.insert(id.to_owned());
                false
            }
        };
        if is_other {
            self.0.is_replaced.store(true, Ordering::Release);
        }
        is_other
    }
}

impl ClientContext for ReplacementWatch {
    fn log(&self, level: Level, facility: &str, message: &str) {
        self.read(message);
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

impl ConsumerContext for ReplacementWatch {}

/// Enables the log lines that [`ReplacementWatch`] reads.
///
/// The driver continues with the new topic at the old offset, so that nobody would receive the events before it. As of
/// librdkafka 2.12, it reports this only in its debug log.
pub(super) fn report_replacements(settings: &mut ClientConfig) {
    settings.set("debug", "topic").set_log_level(Level::Debug);
}

/// Returns the topic and its id when a line of the log reports that the driver learns the id.
fn new_id(line: &str) -> Option<(&str, &str)> {
    let (topic, ids) = line.split_once(" changed id from ")?;
    let (_, id) = ids.split_once(" to ")?;
    let (_, topic) = topic.rsplit_once(' ')?;
    Some((topic, id))
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
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn a_wrong_password_is_not_an_unreachable_broker() {
        use rdkafka::types::RDKafkaErrorCode as Code;

        assert!(is_unreachable(&KafkaError::Global(Code::AllBrokersDown)));
        assert!(!is_unreachable(&KafkaError::Global(Code::Authentication)));
    }

    #[test]
    fn a_client_whose_statistics_have_no_broker_is_lost() {
        const LOGICAL: &[u8] = br#"{"brokers":{"GroupCoordinator":{"source":"logical"}}}"#;
        let watch = BrokerWatch::default();
        for found in [br#"{"source":"configured"}"#.as_slice(), br#"{"source":"learned"}"#] {
            watch.read(LOGICAL);
            assert!(!watch.is_lost(), "it may be looking for brokers");
            watch.read(found);
        }
        watch.read(LOGICAL);
        assert!(!watch.is_lost(), "it had one in between");
        watch.read(LOGICAL);
        assert!(watch.is_lost());
    }

    /// Counts the statistics.
    #[derive(Clone, Default)]
    struct Counting(BrokerWatch, Arc<AtomicU32>);

    impl ClientContext for Counting {
        fn stats_raw(&self, statistics: &[u8]) {
            self.0.read(statistics);
            self.1.fetch_add(1, Ordering::AcqRel);
        }
    }

    impl ConsumerContext for Counting {}

    /// Real statistics: of a client whose broker does not respond, and of one without brokers.
    #[test]
    fn a_client_without_brokers_is_lost_and_one_of_an_outage_is_not() {
        for (brokers, is_lost) in [(Some("127.0.0.1:1"), false), (None, true)] {
            let mut settings = ClientConfig::new();
            settings.set("group.id", "tests").set("statistics.interval.ms", "10");
            if let Some(brokers) = brokers {
                settings.set("bootstrap.servers", brokers);
            }
            let counting = Counting::default();
            let consumer: BaseConsumer<Counting> = settings.create_with_context(counting.clone()).unwrap();
            while counting.1.load(Ordering::Acquire) < 3 * LOST_AFTER {
                drop(consumer.poll(Duration::from_millis(10)));
            }
            assert_eq!(counting.0.is_lost(), is_lost, "{brokers:?}");
        }
    }

    #[test]
    fn another_id_of_a_known_topic_is_a_replacement_also_for_a_new_client() {
        const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAA";
        let changed =
            |topic: &str, from: &str, to: &str| format!("[thrd:main]: Topic {topic} changed id from {from} to {to}");
        let watch = ReplacementWatch::default();
        assert!(!watch.read("[thrd:main]: Topic dogs [0]: leader 1 epoch 0"));
        assert!(!watch.read(&changed("dogs", UNKNOWN, "q3Jz0vYIQmKkqg4Vb3qOxw")));
        assert!(!watch.read(&changed("cats", UNKNOWN, "4pUu3w7bT4mUu3w7bT4mUA")));
        let next = watch.clone();
        assert!(!next.read(&changed("dogs", UNKNOWN, "q3Jz0vYIQmKkqg4Vb3qOxw")));
        assert!(!watch.is_replaced());
        assert!(next.read(&changed("cats", UNKNOWN, "Hm1sQJ2wQz6vK8bqV0c3Jg")));
        assert!(watch.is_replaced());
    }
}
