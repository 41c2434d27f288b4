//! Assignment of the partitions of a group to its members.
//!
//! A lease is a message in a stream with a maximum age: written only if there is none, and renewed by its holder. The
//! server's clock expires it. A member measures from before its request, and so stops using a partition before another
//! can take it.
//!
//! The stream is in memory: it is lost when the server restarts or somebody deletes it, and a member creates it again.
//! Members with leases write them again, and nobody takes another partition until all leases of the previous stream
//! have expired. A new member takes free partitions at once, but delivers nothing of them until then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::datetime::DateTime;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures_util::TryStreamExt as _;
use kennel_core::broker::BrokerError;
use tokio::time::Instant;

use super::{Core, unavailable};
use crate::group::unique_name;

/// The lease of a partition that this member holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    sequence: u64,
    until: Instant,
}

impl Lease {
    /// Returns whether another member may hold it by now.
    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}

/// A member's view of its group.
#[derive(Debug)]
pub(super) struct GroupView {
    /// Number of members.
    pub(super) members: usize,
    /// Partitions with a lease.
    pub(super) taken: BTreeSet<u16>,
    /// When all leases of the previous stream have expired.
    pub(super) leases_ended_at: Instant,
    /// Whether the stream replaced another that this member knew.
    pub(super) is_new: bool,
    is_first: bool,
}

impl GroupView {
    /// Returns whether partitions without a lease may be taken.
    pub(super) fn may_take_free(&self) -> bool {
        self.is_first || self.leases_ended_at <= Instant::now()
    }
}

/// One incarnation of the stream of leases.
#[derive(Debug, Clone, Copy)]
struct StreamEpoch {
    created: DateTime,
    leases_ended_at: Instant,
    /// Whether it is the first one that this member knows.
    is_first: bool,
}

/// One member's heartbeat and leases.
pub(super) struct Leases {
    core: Arc<Core>,
    subject_prefix: String,
    rebalance_subject: String,
    member: String,
    epoch: Option<StreamEpoch>,
}

impl Leases {
    pub(super) fn new(core: Arc<Core>, topic: &str, group: &str) -> Self {
        let (subject_prefix, rebalance_subject) =
            (core.names.group(topic, group), core.names.rebalance_subject(topic, group));
        Self { core, subject_prefix, rebalance_subject, member: unique_name(), epoch: None }
    }

    fn member_subject(&self) -> String {
        format!("{}.member.{}", self.subject_prefix, self.member)
    }

    fn lease_subject(&self, partition: u16) -> String {
        format!("{}.partition.{partition}", self.subject_prefix)
    }

    async fn stream(&self) -> Result<Stream<()>, BrokerError> {
        self.core.jetstream.get_stream_no_info(self.core.names.groups_stream()).await.map_err(unavailable)
    }

    /// Publishes the heartbeat of this member; creates the stream if it does not exist.
    pub(super) async fn heartbeat(&self) -> Result<(), BrokerError> {
        if self.publish_heartbeat().await? {
            return Ok(());
        }
        self.core.groups_stream().await?;
        if !self.publish_heartbeat().await? {
            return Err(unavailable("no stream takes the leases"));
        }
        self.notify_members().await
    }

    /// Returns false when no stream stored it.
    async fn publish_heartbeat(&self) -> Result<bool, BrokerError> {
        let ack = self.core.jetstream.publish(self.member_subject(), "".into()).await.map_err(unavailable)?;
        match ack.await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Reads the members and leases of the group. Call after [`Self::heartbeat`].
    pub(super) async fn observe(&mut self) -> Result<GroupView, BrokerError> {
        let stream = self.stream().await?;
        let filter = format!("{}.>", self.subject_prefix);
        let mut subjects = stream.info_with_subjects(filter).await.map_err(unavailable)?;
        let (epoch, is_new) = self.epoch(&stream, subjects.info.created).await?;
        let leases_ended_at = epoch.leases_ended_at;
        let mut view =
            GroupView { members: 0, taken: BTreeSet::new(), leases_ended_at, is_new, is_first: epoch.is_first };
        while let Some((subject, _)) = subjects.try_next().await.map_err(unavailable)? {
            let rest = subject.strip_prefix(&self.subject_prefix).unwrap_or_default();
            if let Some(partition) = rest.strip_prefix(".partition.") {
                view.taken.extend(partition.parse::<u16>());
            } else {
                view.members += 1;
            }
        }
        Ok(view)
    }

    /// Returns the current incarnation of the stream, and whether it replaced another. The expiry of the previous
    /// leases is known by the server's clock only: from the age of the stream when this member published its heartbeat.
    async fn epoch(&mut self, stream: &Stream<()>, created: DateTime) -> Result<(StreamEpoch, bool), BrokerError> {
        if let Some(epoch) = self.epoch.filter(|epoch| epoch.created == created) {
            return Ok((epoch, false));
        }
        let now = Instant::now();
        let heartbeat = stream.get_last_raw_message_by_subject(&self.member_subject()).await.map_err(unavailable)?;
        let age = Duration::try_from(heartbeat.time - created).unwrap_or_default();
        let leases_ended_at = now + self.core.config.lease.saturating_sub(age);
        let epoch = StreamEpoch { created, leases_ended_at, is_first: self.epoch.is_none() };
        self.epoch = Some(epoch);
        if !epoch.is_first {
            tracing::warn!(group = self.subject_prefix, "stream of leases was lost and created again");
        }
        Ok((epoch, !epoch.is_first))
    }

    /// Takes a partition; `None` if another member has it.
    pub(super) async fn take(&self, partition: u16) -> Result<Option<Lease>, BrokerError> {
        match self.write(partition, 0).await? {
            Some(lease) => Ok(Some(lease)),
            None => self.write_over_own(partition).await,
        }
    }

    /// Renews a lease; `None` when it is lost.
    pub(super) async fn renew(&self, partition: u16, lease: Lease) -> Result<Option<Lease>, BrokerError> {
        match self.write(partition, lease.sequence).await? {
            Some(lease) => Ok(Some(lease)),
            // The stream is a new one, unless the lease has expired.
            None if self.last_lease(partition).await?.is_none() && !lease.is_over() => self.write(partition, 0).await,
            None => self.write_over_own(partition).await,
        }
    }

    /// Writes the lease again if the last one is from this member: its response was lost.
    async fn write_over_own(&self, partition: u16) -> Result<Option<Lease>, BrokerError> {
        match self.last_lease(partition).await? {
            Some((sequence, holder)) if holder == self.member => self.write(partition, sequence).await,
            _ => Ok(None),
        }
    }

    /// Returns the sequence number and the holder of the last lease of a partition.
    async fn last_lease(&self, partition: u16) -> Result<Option<(u64, String)>, BrokerError> {
        let stream = self.stream().await?;
        match stream.get_last_raw_message_by_subject(&self.lease_subject(partition)).await {
            Ok(last_lease) => {
                Ok(Some((last_lease.sequence, String::from_utf8_lossy(&last_lease.payload).into_owned())))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Returns `None` when the last lease has another sequence number than `expected_sequence`.
    async fn write(&self, partition: u16, expected_sequence: u64) -> Result<Option<Lease>, BrokerError> {
        let until = Instant::now() + self.validity();
        let message = PublishMessage::build().expected_last_subject_sequence(expected_sequence);
        let message = message.payload(self.member.clone().into());
        let message = message.outbound_message(self.lease_subject(partition));
        let (subject, headers) = (message.subject, message.headers.unwrap_or_default());
        let publishing = self.core.jetstream.publish_with_headers(subject, headers, message.payload);
        match publishing.await.map_err(unavailable)?.await {
            Ok(ack) => Ok(Some(Lease { sequence: ack.sequence, until })),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Returns how long this member uses a lease: shorter than the server stores it.
    fn validity(&self) -> Duration {
        self.core.config.lease.mul_f64(0.9)
    }

    /// Releases partitions, and the membership when `leaving`; notifies the other members.
    pub(super) async fn release(&self, partitions: &[u16], leaving: bool) -> Result<(), BrokerError> {
        let stream = self.stream().await?;
        for partition in partitions {
            if let Some((sequence, holder)) = self.last_lease(*partition).await?
                && holder == self.member
            {
                let _already_deleted = stream.delete_message(sequence).await;
            }
        }
        if leaving {
            stream.purge().filter(self.member_subject()).await.map_err(unavailable)?;
        }
        self.notify_members().await
    }

    /// Receives a message when another member has joined or released something.
    pub(super) async fn subscribe(&self) -> Result<async_nats::Subscriber, BrokerError> {
        self.core.client.subscribe(self.rebalance_subject.clone()).await.map_err(unavailable)
    }

    /// Notifies the other members to balance the partitions.
    pub(super) async fn notify_members(&self) -> Result<(), BrokerError> {
        self.core.client.publish(self.rebalance_subject.clone(), "".into()).await.map_err(unavailable)
    }
}
