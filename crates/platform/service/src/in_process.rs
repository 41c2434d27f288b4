//! What the services of a process share of the in-process broker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kennel_broker::SharedBroker;

/// The in-process broker, and which services of the process use it.
#[derive(Clone, Default)]
pub(crate) struct InProcess {
    pub(crate) broker: SharedBroker,
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    topics: Vec<&'static str>,
    consumers: Vec<&'static str>,
}

impl InProcess {
    /// Adds a service: the topics that it publishes to, and the components of its consumers.
    pub(crate) fn join(&self, topics: Vec<&'static str>, consumers: impl Iterator<Item = &'static str>) {
        let mut members = self.lock();
        members.topics.extend(topics);
        members.consumers.extend(consumers);
    }

    /// Whether a service of the process publishes to the topic.
    pub(crate) fn publishes(&self, topic: &str) -> bool {
        self.lock().topics.contains(&topic)
    }

    /// The consumers of all services.
    pub(crate) fn consumers(&self) -> Vec<&'static str> {
        self.lock().consumers.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
