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
    /// Whether one of them has a store.
    has_store: bool,
}

impl InProcess {
    /// Adds a service: the topics that it publishes to, the components of its consumers, and whether it has a store.
    pub(crate) fn join(
        &self,
        topics: Vec<&'static str>,
        consumers: impl Iterator<Item = &'static str>,
        has_store: bool,
    ) {
        let mut members = self.lock();
        members.has_store |= has_store;
        members.topics.extend(topics);
        members.consumers.extend(consumers);
    }

    /// Whether a service of the process publishes to the topic.
    pub(crate) fn publishes(&self, topic: &str) -> bool {
        self.lock().topics.contains(&topic)
    }

    /// Whether a service of the process has a store, so that it can consume events.
    pub(crate) fn has_store(&self) -> bool {
        self.lock().has_store
    }

    /// The consumers of all services.
    pub(crate) fn consumers(&self) -> Vec<&'static str> {
        self.lock().consumers.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
