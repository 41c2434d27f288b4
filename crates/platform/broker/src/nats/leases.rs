//! Who of a group has which partition.
//!
//! A lease is a message in a stream that forgets messages after a while: written only where there is none, and again
//! and again by who has it. The server's clock ends it; a member counts from before it asked, and so gives a partition
//! up before another can have it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use futures_util::TryStreamExt as _;
use kennel_core::broker::BrokerError;
use tokio::time::Instant;

use super::{Core, unavailable};
use crate::group::unique;

/// A partition that is ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    sequence: u64,
    until: Instant,
}

impl Lease {
    /// Whether another may have it by now.
    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}

/// What a member sees of its group.
#[derive(Debug, Default)]
pub(super) struct View {
    /// How many members there are.
    pub(super) members: usize,
    /// The partitions that someone has.
    pub(super) taken: BTreeSet<u16>,
}

/// A member's part in sharing out the partitions.
pub(super) struct Leases {
    core: Arc<Core>,
    place: String,
    bell: String,
    name: String,
}

impl Leases {
    pub(super) fn new(core: Arc<Core>, topic: &str, group: &str) -> Self {
        let (place, bell) = (core.names.group(topic, group), core.names.bell(topic, group));
        Self { core, place, bell, name: unique() }
    }

    fn member_subject(&self) -> String {
        format!("{}.member.{}", self.place, self.name)
    }

    fn lease_subject(&self, partition: u16) -> String {
        format!("{}.partition.{partition}", self.place)
    }

    /// Shows that this member is there.
    pub(super) async fn show(&self) -> Result<(), BrokerError> {
        let subject = self.member_subject();
        let ack = self.core.jetstream.publish(subject, "".into()).await.map_err(unavailable)?;
        ack.await.map_err(unavailable)?;
        Ok(())
    }

    /// Looks who is there.
    pub(super) async fn look(&self) -> Result<View, BrokerError> {
        let stream = self.core.jetstream.get_stream_no_info(self.core.names.groups_stream()).await;
        let stream = stream.map_err(unavailable)?;
        let filter = format!("{}.>", self.place);
        let mut subjects = stream.info_with_subjects(filter).await.map_err(unavailable)?;
        let mut view = View::default();
        while let Some((subject, _)) = subjects.try_next().await.map_err(unavailable)? {
            let rest = subject.strip_prefix(&self.place).unwrap_or_default();
            if let Some(partition) = rest.strip_prefix(".partition.") {
                view.taken.extend(partition.parse::<u16>());
            } else {
                view.members += 1;
            }
        }
        Ok(view)
    }

    /// Takes a partition, unless someone has it.
    pub(super) async fn take(&self, partition: u16) -> Result<Option<Lease>, BrokerError> {
        self.write(partition, 0).await
    }

    /// Keeps a partition. `None` when it is lost.
    pub(super) async fn renew(&self, partition: u16, lease: Lease) -> Result<Option<Lease>, BrokerError> {
        self.write(partition, lease.sequence).await
    }

    async fn write(&self, partition: u16, before: u64) -> Result<Option<Lease>, BrokerError> {
        let until = Instant::now() + self.validity();
        let message = PublishMessage::build().expected_last_subject_sequence(before);
        let message = message.payload(self.name.clone().into());
        let message = message.outbound_message(self.lease_subject(partition));
        let (subject, headers) = (message.subject, message.headers.unwrap_or_default());
        let publishing = self.core.jetstream.publish_with_headers(subject, headers, message.payload);
        match publishing.await.map_err(unavailable)?.await {
            Ok(ack) => Ok(Some(Lease { sequence: ack.sequence, until })),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// How long a lease is good here: shorter than at the server.
    fn validity(&self) -> Duration {
        self.core.config.lease.mul_f64(0.9)
    }

    /// Gives partitions up, and when `leaving`, the place in the group; tells the others.
    pub(super) async fn give_up(&self, leases: &[Lease], leaving: bool) -> Result<(), BrokerError> {
        let stream = self.core.jetstream.get_stream_no_info(self.core.names.groups_stream()).await;
        let stream = stream.map_err(unavailable)?;
        for lease in leases {
            // Ours alone: what another has written since has a number of its own.
            let _gone_before = stream.delete_message(lease.sequence).await;
        }
        if leaving {
            stream.purge().filter(self.member_subject()).await.map_err(unavailable)?;
        }
        self.core.client.publish(self.bell.clone(), "".into()).await.map_err(unavailable)
    }

    /// Rings when another member has come or given something up.
    pub(super) async fn bell(&self) -> Result<async_nats::Subscriber, BrokerError> {
        self.core.client.subscribe(self.bell.clone()).await.map_err(unavailable)
    }

    /// Tells the others that this member has come.
    pub(super) async fn ring(&self) -> Result<(), BrokerError> {
        self.core.client.publish(self.bell.clone(), "".into()).await.map_err(unavailable)
    }
}
