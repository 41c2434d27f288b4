//! Background task of a member: holds its share of the partitions and receives their events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::connection::State;
use async_nats::jetstream::AckKind;
use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use kennel_core::EventFilter;
use kennel_core::broker::BrokerError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::leases::{Lease, Leases};
use super::pull::{NatsHandle, PartitionSource, consumer};
use super::{Core, REQUEST_TIMEOUT, unavailable};
use crate::group::{DeliveryBuffer, FailureTimer, quota};

/// How often a partition that is being released is checked.
const RELEASE_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A partition that this member holds.
struct OwnedPartition {
    lease: Lease,
    stop: CancellationToken,
    pulling: JoinHandle<()>,
    /// Released when it has no unsettled deliveries.
    leaving: bool,
}

/// See the [module](self).
pub(super) struct PartitionConsumer {
    core: Arc<Core>,
    topic: String,
    group: String,
    filter: EventFilter,
    buffer: Arc<DeliveryBuffer<NatsHandle>>,
    leases: Leases,
    rebalances: Subscriber,
    owned: BTreeMap<u16, OwnedPartition>,
    /// Partitions that were requested without a response: this member may hold them.
    unanswered: BTreeSet<u16>,
    balance_failures: FailureTimer,
}

impl PartitionConsumer {
    /// Creates the group if it does not exist, and joins it.
    pub(super) async fn join(
        core: Arc<Core>,
        (topic, group): (&str, &str),
        filter: &EventFilter,
        buffer: Arc<DeliveryBuffer<NatsHandle>>,
    ) -> Result<Self, BrokerError> {
        core.groups_stream().await?;
        try_join_all((0..core.config.partitions.get()).map(|partition| consumer(&core, topic, group, partition)))
            .await?;
        let leases = Leases::new(Arc::clone(&core), topic, group);
        let rebalances = leases.subscribe().await?;
        leases.heartbeat().await?;
        leases.notify_members().await?;
        core.count_group(topic, group, 1);
        let (topic, group, filter) = (topic.to_owned(), group.to_owned(), filter.clone());
        let (owned, unanswered, balance_failures) = (BTreeMap::new(), BTreeSet::new(), FailureTimer::default());
        let mut consumer =
            Self { core, topic, group, filter, buffer, leases, rebalances, owned, unanswered, balance_failures };
        consumer.balance().await?;
        Ok(consumer)
    }

    /// Runs until `leaving` is cancelled, then returns all unsettled events.
    pub(super) async fn run(mut self, leaving: CancellationToken) {
        let mut renewal = interval(self.core.config.lease / 3);
        let mut progress = interval(self.core.config.ack_wait / 3);
        let mut release_poll = interval(RELEASE_POLL_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = leaving.cancelled() => break,
                _ = renewal.tick() => self.renew().await,
                _ = progress.tick() => self.progress().await,
                _ = release_poll.tick(), if self.owned.values().any(|owned| owned.leaving) => self.release_settled().await,
                Some(_) = self.rebalances.next() => self.try_balance().await,
            }
        }
        self.buffer.end();
        // The server redelivers unreturned events after their ack wait.
        let _late = timeout(REQUEST_TIMEOUT, self.leave()).await;
        self.core.count_group(&self.topic, &self.group, -1);
    }

    /// Extends the ack wait of all received events.
    async fn progress(&self) {
        for handle in self.buffer.handles() {
            if self.core.client.connection_state() != State::Connected || handle.send(AckKind::Progress).await.is_err()
            {
                return;
            }
        }
    }

    async fn renew(&mut self) {
        self.renew_leases().await;
        self.try_balance().await;
    }

    /// Time limit of one step. Two steps in a row that time out leave time to renew the leases.
    fn step_timeout(&self) -> Duration {
        REQUEST_TIMEOUT.min(self.core.config.lease / 4)
    }

    async fn renew_leases(&mut self) {
        let (leases, step_timeout) = (&self.leases, self.step_timeout());
        let renewing = self.owned.iter().map(|(&partition, owned)| async move {
            let renewed = timeout(step_timeout, leases.renew(partition, owned.lease)).await;
            (partition, renewed.unwrap_or_else(|late| Err(unavailable(late))))
        });
        for (partition, renewed) in join_all(renewing).await {
            let Some(owned) = self.owned.get_mut(&partition) else { continue };
            match renewed {
                Ok(Some(lease)) => owned.lease = lease,
                Ok(None) => self.lose(partition),
                Err(_) if owned.lease.is_over() => self.lose(partition),
                Err(_) => {}
            }
        }
    }

    /// Drops a partition that another member may hold by now.
    fn lose(&mut self, partition: u16) {
        if let Some(owned) = self.owned.remove(&partition) {
            owned.stop.cancel();
        }
        self.buffer.pause(partition);
        self.buffer.remove_partition(partition);
    }

    /// Failures are retried at the next renewal. The subscriber gets the error after failures for as long as a lease
    /// while connected.
    async fn try_balance(&mut self) {
        let step_timeout = self.step_timeout();
        let balancing = async {
            self.leases.heartbeat().await?;
            self.balance().await
        };
        let (Ok(Err(error)) | Err(error)) = timeout(step_timeout, balancing).await.map_err(unavailable) else {
            self.balance_failures.clear();
            return;
        };
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            group = self.group,
            "cannot balance the partitions of the group"
        );
        if self.core.client.connection_state() != State::Connected {
            self.balance_failures.clear();
        } else if self.balance_failures.failed(self.core.config.lease) {
            self.buffer.report_error(error);
        }
    }

    /// Takes free partitions, or releases some, for an even distribution.
    async fn balance(&mut self) -> Result<(), BrokerError> {
        let view = self.leases.observe().await?;
        if view.is_new {
            self.renew_leases().await;
        }
        let partitions = self.core.config.partitions.get();
        let quota = quota(partitions, view.members);
        let retained: Vec<_> =
            self.owned.iter().filter(|(_, owned)| !owned.leaving).map(|(&partition, _)| partition).collect();
        for &partition in retained.iter().skip(quota) {
            self.buffer.pause(partition);
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.leaving = true;
            }
        }
        for partition in (0..partitions).filter(|_| view.may_take_free()) {
            if self.owned.len() >= quota {
                break;
            }
            let may_be_free = !view.taken.contains(&partition) || self.unanswered.contains(&partition);
            if !may_be_free || self.owned.contains_key(&partition) {
                continue;
            }
            self.unanswered.insert(partition);
            let taken = self.leases.take(partition).await?;
            self.unanswered.remove(&partition);
            if let Some(lease) = taken {
                self.start(partition, lease, view.leases_ended_at);
            }
        }
        Ok(())
    }

    /// Starts receiving from a partition. The lease is renewed from now on, also while the server does not respond to
    /// the consumer's requests.
    fn start(&mut self, partition: u16, lease: Lease, takeover_at: Instant) {
        self.buffer.pause(partition);
        let (core, buffer, stop) = (Arc::clone(&self.core), Arc::clone(&self.buffer), CancellationToken::new());
        let (topic, group, filter) = (self.topic.clone(), self.group.clone(), self.filter.clone());
        let source = PartitionSource { core, topic, group, filter, partition, takeover_at, buffer };
        let pulling = self.core.tasks.spawn(source.fetch(stop.clone()));
        self.owned.insert(partition, OwnedPartition { lease, stop, pulling, leaving: false });
    }

    /// Releases partitions that are leaving and have no unsettled deliveries.
    async fn release_settled(&mut self) {
        let settled = |(partition, owned): (&u16, &OwnedPartition)| {
            (owned.leaving && !self.buffer.has_claimed(*partition)).then_some(*partition)
        };
        let settled: Vec<_> = self.owned.iter().filter_map(settled).collect();
        if settled.is_empty() {
            return;
        }
        let released = timeout(self.step_timeout(), self.release(&settled, false)).await.map_err(unavailable);
        if let Ok(Err(error)) | Err(error) = released {
            tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "cannot release partitions");
        }
    }

    async fn leave(&mut self) -> Result<(), BrokerError> {
        let all: Vec<_> = self.owned.keys().copied().collect();
        self.release(&all, true).await
    }

    /// Returns the received events of some partitions, and then releases the partitions.
    async fn release(&mut self, partitions: &[u16], leaving: bool) -> Result<(), BrokerError> {
        let released: Vec<_> = partitions.iter().filter_map(|partition| self.owned.remove(partition)).collect();
        for (partition, owned) in partitions.iter().zip(&released) {
            self.buffer.pause(*partition);
            owned.stop.cancel();
        }
        for owned in released {
            // The task has no result.
            let _ended = owned.pulling.await;
        }
        for partition in partitions {
            for handle in self.buffer.remove_partition(*partition) {
                handle.send(AckKind::Nak(None)).await?;
            }
        }
        self.leases.release(partitions, leaving).await
    }
}
