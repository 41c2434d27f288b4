//! A member's work in the background: its part of the partitions, and what comes from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::connection::State;
use async_nats::jetstream::AckKind;
use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use kennel_core::broker::BrokerError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::leases::{Lease, Leases};
use super::pull::{Reply, Source, consumer};
use super::{ANSWER, Core, unavailable};
use crate::group::{Handle as _, Overdue, Shared, quota};

/// How often a partition that is given up is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A partition that this member has.
struct Owned {
    lease: Lease,
    stop: CancellationToken,
    pulling: JoinHandle<()>,
    /// Given up as soon as nothing of it is out.
    leaving: bool,
}

/// See the [module](self).
pub(super) struct Feed {
    core: Arc<Core>,
    topic: String,
    group: String,
    shared: Arc<Shared<Reply>>,
    leases: Leases,
    bell: Subscriber,
    owned: BTreeMap<u16, Owned>,
    /// Partitions that were asked for and that may be ours: there was no answer.
    unanswered: BTreeSet<u16>,
    sharing: Overdue,
}

impl Feed {
    /// Makes the group unless it is there, and takes a place in it.
    pub(super) async fn join(
        core: Arc<Core>,
        topic: &str,
        group: &str,
        shared: Arc<Shared<Reply>>,
    ) -> Result<Self, BrokerError> {
        core.groups_stream().await?;
        try_join_all((0..core.config.partitions.get()).map(|partition| consumer(&core, topic, group, partition)))
            .await?;
        let leases = Leases::new(Arc::clone(&core), topic, group);
        let bell = leases.bell().await?;
        leases.show().await?;
        leases.ring().await?;
        core.count_group(topic, group, 1);
        let (topic, group) = (topic.to_owned(), group.to_owned());
        let (owned, unanswered, sharing) = (BTreeMap::new(), BTreeSet::new(), Overdue::default());
        let mut feed = Self { core, topic, group, shared, leases, bell, owned, unanswered, sharing };
        feed.balance().await?;
        Ok(feed)
    }

    /// Works until `leaving` is cancelled, then hands back what is left.
    pub(super) async fn run(mut self, leaving: CancellationToken) {
        let mut renewal = interval(self.core.config.lease / 3);
        let mut progress = interval(self.core.config.ack_wait / 3);
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                biased;
                () = leaving.cancelled() => break,
                _ = renewal.tick() => self.renew().await,
                _ = progress.tick() => self.progress().await,
                _ = look.tick(), if self.owned.values().any(|owned| owned.leaving) => self.give_up_settled().await,
                Some(_) = self.bell.next() => self.balance_or_later().await,
            }
        }
        self.shared.end();
        // What cannot be handed back now comes again when its time with the server is over.
        let _late = timeout(ANSWER, self.leave()).await;
        self.core.count_group(&self.topic, &self.group, -1);
    }

    /// Tells the server that what is here is being worked on.
    async fn progress(&self) {
        for reply in self.shared.here() {
            if self.core.client.connection_state() != State::Connected || reply.tell(AckKind::Progress).await.is_err() {
                return;
            }
        }
    }

    async fn renew(&mut self) {
        self.renew_leases().await;
        self.balance_or_later().await;
    }

    /// How long one step of the work may wait for answers. Two in a row that get none leave time to renew the leases.
    fn patience(&self) -> Duration {
        ANSWER.min(self.core.config.lease / 4)
    }

    async fn renew_leases(&mut self) {
        let (leases, patience) = (&self.leases, self.patience());
        let renewing = self.owned.iter().map(|(&partition, owned)| async move {
            let renewed = timeout(patience, leases.renew(partition, owned.lease)).await;
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

    /// Another may have the partition by now.
    fn lose(&mut self, partition: u16) {
        if let Some(owned) = self.owned.remove(&partition) {
            owned.stop.cancel();
        }
        self.shared.shut(partition);
        self.shared.forget(partition);
    }

    /// What goes wrong is tried again at the next renewal. The subscriber hears of it when it has gone wrong for as long
    /// as a lease though there is a connection.
    async fn balance_or_later(&mut self) {
        let patience = self.patience();
        let sharing = async {
            self.leases.show().await?;
            self.balance().await
        };
        let (Ok(Err(error)) | Err(error)) = timeout(patience, sharing).await.map_err(unavailable) else {
            self.sharing.clear();
            return;
        };
        tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "partitions are not shared out");
        if self.core.client.connection_state() != State::Connected {
            self.sharing.clear();
        } else if self.sharing.failed(self.core.config.lease) {
            self.shared.trouble(error);
        }
    }

    /// Takes partitions that no one has, or gives some up, to have a fair part.
    async fn balance(&mut self) -> Result<(), BrokerError> {
        let view = self.leases.look().await?;
        if view.is_new {
            self.renew_leases().await;
        }
        let partitions = self.core.config.partitions.get();
        let quota = quota(partitions, view.members);
        let staying: Vec<_> = self.owned.iter().filter(|(_, owned)| !owned.leaving).map(|(&place, _)| place).collect();
        for &partition in staying.iter().skip(quota) {
            self.shared.shut(partition);
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.leaving = true;
            }
        }
        for partition in (0..partitions).filter(|_| view.is_settled()) {
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
                self.start(partition, lease, view.settled);
            }
        }
        Ok(())
    }

    /// From here on the partition is kept, also while the server does not tell what there is of it.
    fn start(&mut self, partition: u16, lease: Lease, settled: Instant) {
        self.shared.shut(partition);
        let (core, shared, stop) = (Arc::clone(&self.core), Arc::clone(&self.shared), CancellationToken::new());
        let (topic, group) = (self.topic.clone(), self.group.clone());
        let source = Source { core, topic, group, partition, settled, shared };
        let pulling = self.core.tasks.spawn(source.fetch(stop.clone()));
        self.owned.insert(partition, Owned { lease, stop, pulling, leaving: false });
    }

    /// Gives up what is on its way out and settled.
    async fn give_up_settled(&mut self) {
        let settled = |(partition, owned): (&u16, &Owned)| {
            (owned.leaving && !self.shared.is_out(*partition)).then_some(*partition)
        };
        let settled: Vec<_> = self.owned.iter().filter_map(settled).collect();
        if settled.is_empty() {
            return;
        }
        let given_up = timeout(self.patience(), self.give_up(&settled, false)).await.map_err(unavailable);
        if let Ok(Err(error)) | Err(error) = given_up {
            tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "partitions go without word");
        }
    }

    async fn leave(&mut self) -> Result<(), BrokerError> {
        let all: Vec<_> = self.owned.keys().copied().collect();
        self.give_up(&all, true).await
    }

    /// Hands back what is here of some partitions, and then the partitions.
    async fn give_up(&mut self, partitions: &[u16], leaving: bool) -> Result<(), BrokerError> {
        let given_up: Vec<_> = partitions.iter().filter_map(|partition| self.owned.remove(partition)).collect();
        for (partition, owned) in partitions.iter().zip(&given_up) {
            self.shared.shut(*partition);
            owned.stop.cancel();
        }
        for owned in given_up {
            // It has no way to fail that would matter here.
            let _ended = owned.pulling.await;
        }
        for partition in partitions {
            for reply in self.shared.forget(*partition) {
                reply.again(Duration::ZERO).await?;
            }
        }
        self.leases.give_up(partitions, leaving).await
    }
}
