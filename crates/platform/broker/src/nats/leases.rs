//! Who of a group has which partition.
//!
//! A lease is a message in a stream that forgets messages after a while: written only where there is none, and again
//! and again by who has it. The server's clock ends it; a member counts from before it asked, and so gives a partition
//! up before another can have it.
//!
//! The stream is in memory: a server that starts again has none, and no more has one whose stream was removed. A member
//! creates it again. Those that had leases write them anew, and no one takes another partition until all leases of the
//! stream before have run out. A member that is new takes what it finds free, but hands nothing out of it until then.

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
#[derive(Debug)]
pub(super) struct View {
    /// How many members there are.
    pub(super) members: usize,
    /// The partitions that someone has.
    pub(super) taken: BTreeSet<u16>,
    /// When all leases of the stream before this one have run out.
    pub(super) settled: Instant,
    /// Whether the stream took the place of another that this member knew.
    pub(super) is_new: bool,
    is_first: bool,
}

impl View {
    /// Whether partitions that no one has may be taken.
    pub(super) fn is_settled(&self) -> bool {
        self.is_first || self.settled <= Instant::now()
    }
}

/// The stream of leases as this member has found it.
#[derive(Debug, Clone, Copy)]
struct Era {
    created: DateTime,
    settled: Instant,
    /// Whether it is the first that this member knows.
    is_first: bool,
}

/// A member's part in sharing out the partitions.
pub(super) struct Leases {
    core: Arc<Core>,
    place: String,
    bell: String,
    name: String,
    era: Option<Era>,
}

impl Leases {
    pub(super) fn new(core: Arc<Core>, topic: &str, group: &str) -> Self {
        let (place, bell) = (core.names.group(topic, group), core.names.bell(topic, group));
        Self { core, place, bell, name: unique(), era: None }
    }

    fn member_subject(&self) -> String {
        format!("{}.member.{}", self.place, self.name)
    }

    fn lease_subject(&self, partition: u16) -> String {
        format!("{}.partition.{partition}", self.place)
    }

    async fn stream(&self) -> Result<Stream<()>, BrokerError> {
        self.core.jetstream.get_stream_no_info(self.core.names.groups_stream()).await.map_err(unavailable)
    }

    /// Shows that this member is there; creates the stream when it is gone.
    pub(super) async fn show(&self) -> Result<(), BrokerError> {
        if self.shown().await? {
            return Ok(());
        }
        self.core.groups_stream().await?;
        if !self.shown().await? {
            return Err(unavailable("no stream takes the leases"));
        }
        self.ring().await
    }

    /// False when no stream has it.
    async fn shown(&self) -> Result<bool, BrokerError> {
        let ack = self.core.jetstream.publish(self.member_subject(), "".into()).await.map_err(unavailable)?;
        match ack.await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Looks who is there, once this member has shown itself.
    pub(super) async fn look(&mut self) -> Result<View, BrokerError> {
        let stream = self.stream().await?;
        let filter = format!("{}.>", self.place);
        let mut subjects = stream.info_with_subjects(filter).await.map_err(unavailable)?;
        let (era, is_new) = self.era(&stream, subjects.info.created).await?;
        let settled = era.settled;
        let mut view = View { members: 0, taken: BTreeSet::new(), settled, is_new, is_first: era.is_first };
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

    /// The stream as it is now, and whether it is another than before. When the leases of the one before have run out is
    /// known by the server's clock alone: how old the stream was when this member showed itself.
    async fn era(&mut self, stream: &Stream<()>, created: DateTime) -> Result<(Era, bool), BrokerError> {
        if let Some(era) = self.era.filter(|era| era.created == created) {
            return Ok((era, false));
        }
        let now = Instant::now();
        let shown = stream.get_last_raw_message_by_subject(&self.member_subject()).await.map_err(unavailable)?;
        let age = Duration::try_from(shown.time - created).unwrap_or_default();
        let settled = now + self.core.config.lease.saturating_sub(age);
        let era = Era { created, settled, is_first: self.era.is_none() };
        self.era = Some(era);
        if !era.is_first {
            tracing::warn!(group = self.place, "stream of leases was lost and created again");
        }
        Ok((era, !era.is_first))
    }

    /// Takes a partition, unless someone has it.
    pub(super) async fn take(&self, partition: u16) -> Result<Option<Lease>, BrokerError> {
        match self.write(partition, 0).await? {
            Some(lease) => Ok(Some(lease)),
            None => self.write_over_own(partition).await,
        }
    }

    /// Keeps a partition. `None` when it is lost.
    pub(super) async fn renew(&self, partition: u16, lease: Lease) -> Result<Option<Lease>, BrokerError> {
        match self.write(partition, lease.sequence).await? {
            Some(lease) => Ok(Some(lease)),
            // The stream is a new one, unless our time is over.
            None if self.last(partition).await?.is_none() && !lease.is_over() => self.write(partition, 0).await,
            None => self.write_over_own(partition).await,
        }
    }

    /// Writes the lease anew when the last one is ours: its answer was lost.
    async fn write_over_own(&self, partition: u16) -> Result<Option<Lease>, BrokerError> {
        match self.last(partition).await? {
            Some((sequence, holder)) if holder == self.name => self.write(partition, sequence).await,
            _ => Ok(None),
        }
    }

    /// The number and the holder of the last lease of a partition.
    async fn last(&self, partition: u16) -> Result<Option<(u64, String)>, BrokerError> {
        let stream = self.stream().await?;
        match stream.get_last_raw_message_by_subject(&self.lease_subject(partition)).await {
            Ok(last) => Ok(Some((last.sequence, String::from_utf8_lossy(&last.payload).into_owned()))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// `None` when the last lease has another number than `before`.
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
    pub(super) async fn give_up(&self, partitions: &[u16], leaving: bool) -> Result<(), BrokerError> {
        let stream = self.stream().await?;
        for partition in partitions {
            if let Some((sequence, holder)) = self.last(*partition).await?
                && holder == self.name
            {
                let _gone_before = stream.delete_message(sequence).await;
            }
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
