//! The connection to Redis, which stands, or is said not to stand without anyone waiting for it.
//!
//! One connection carries commands, and the removals that other processes announce. A task makes it, looks after it
//! and makes it again. While it does not stand, commands fail at once: no request is slowed by a Redis that is away,
//! but those that were waiting when it went, and those at most for the timeout of one command.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use kennel_core::cache::CacheError;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, Value,
};
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::owed::Owed;
use crate::redis_config::{RedisConfig, host_and_port};

/// Between the first tries to connect; doubled with each one, up to the longest.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// Commands that can wait to be written.
const QUEUE: usize = 1024;

/// Who keeps what Redis has, and so has to know what happens to it. Called on the connection's own task: no waiting.
pub(crate) trait Listener: Send + Sync + 'static {
    /// The key was removed or set.
    fn changed(&self, key: &str);
    /// All keys were removed.
    fn all_changed(&self);
    /// From now on, every change is told.
    fn found(&self);
    /// From now on, changes can go untold.
    fn lost(&self);
}

/// Redis does not answer, and no one has waited to find out.
#[derive(Debug, thiserror::Error)]
#[error("redis is away")]
struct Away;

/// Redis did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("redis did not answer within {0:?}")]
struct TooSlow(Duration);

/// See the [module](self).
pub(crate) struct Link {
    shared: Arc<Shared>,
    _keeping: JoinSet<()>,
}

struct Shared {
    client: Client,
    config: RedisConfig,
    channel: String,
    listener: Arc<dyn Listener>,
    standing: RwLock<Option<Standing>>,
    /// The newest connection that is known to have ended.
    ended: AtomicU64,
    trouble: Notify,
    owed: Mutex<Owed>,
}

#[derive(Clone)]
struct Standing {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    /// Connects, and goes on trying when Redis is away. Fails when Redis is there and refuses.
    pub(crate) async fn open(config: RedisConfig, listener: Arc<dyn Listener>) -> RedisResult<Self> {
        let shared = Arc::new(Shared {
            client: client(&config)?,
            channel: format!("{}:{}:changes", config.prefix, config.db),
            config,
            listener,
            standing: RwLock::default(),
            ended: AtomicU64::new(0),
            trouble: Notify::new(),
            owed: Mutex::default(),
        });
        if let Err(error) = shared.connect(1).await {
            if !is_away(&error) {
                return Err(error);
            }
            tracing::warn!(error = &error as &dyn std::error::Error, "redis is away, going on without it");
        }
        let mut keeping = JoinSet::new();
        keeping.spawn(Arc::clone(&shared).keep());
        Ok(Self { shared, _keeping: keeping })
    }

    /// Where changes are announced.
    pub(crate) fn channel(&self) -> &str {
        &self.shared.channel
    }

    /// Runs a command, unless Redis is away.
    pub(crate) async fn run<T>(
        &self,
        command: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, CacheError> {
        self.shared.run(command).await
    }

    /// Has the removal of `key` done when Redis is back. False when Redis is not away.
    pub(crate) fn owe(&self, key: &str) -> bool {
        let mut owed = self.shared.owed();
        let is_away = self.shared.standing().is_none();
        if is_away {
            owed.add(key);
        }
        is_away
    }
}

impl Shared {
    fn standing(&self) -> Option<Standing> {
        self.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T>(
        &self,
        command: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, CacheError> {
        let Standing { number, connection } = self.standing().ok_or_else(|| CacheError(Away.into()))?;
        match timeout(self.config.timeout, command(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if needs_another_connection(&error) {
                    self.end(number);
                }
                Err(CacheError(error.into()))
            }
            Err(_) => {
                self.end(number);
                Err(CacheError(TooSlow(self.config.timeout).into()))
            }
        }
    }

    /// Lets go of a connection that is of no use any more.
    fn end(&self, number: u64) {
        self.ended.fetch_max(number, Ordering::AcqRel);
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        if standing.as_ref().is_some_and(|standing| standing.number == number) {
            *standing = None;
            self.listener.lost();
            self.trouble.notify_one();
        }
    }

    /// Makes connections, one after the other, for as long as there is someone to use them.
    async fn keep(self: Arc<Self>) {
        let (mut number, mut delay) = (1, FIRST_DELAY);
        loop {
            if self.standing().is_some() {
                self.watch().await;
                tracing::warn!("redis went away, going on without it");
            }
            number += 1;
            match self.connect(number).await {
                Ok(()) => {
                    tracing::info!("redis is back");
                    delay = FIRST_DELAY;
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "redis is still away");
                    sleep(delay.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
            }
        }
    }

    /// Returns when the connection stands no more.
    async fn watch(&self) {
        while self.standing().is_some() {
            if timeout(self.config.heartbeat, self.trouble.notified()).await.is_err() {
                drop(self.run(ping).await);
            }
        }
    }

    async fn connect(self: &Arc<Self>, number: u64) -> RedisResult<()> {
        let preparing = timeout(self.config.connect_timeout, self.prepare(number));
        let connection =
            preparing.await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
        loop {
            let due = {
                let mut owed = self.owed();
                if owed.is_empty() {
                    return self.stand(Standing { number, connection });
                }
                owed.take()
            };
            let settled =
                timeout(self.config.connect_timeout, due.settle(&self.config, &self.channel, connection.clone()));
            let settled =
                settled.await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
            if let Err(error) = settled {
                self.owed().add_all(due);
                return Err(error);
            }
        }
    }

    /// A connection that is told of changes.
    async fn prepare(self: &Arc<Self>, number: u64) -> RedisResult<MultiplexedConnection> {
        let shared: Weak<Self> = Arc::downgrade(self);
        let hear = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if let Some(shared) = shared.upgrade() {
                shared.hear(number, &push);
            }
            Ok(())
        };
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(hear);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&settings).await?;
        connection.subscribe(&self.channel).await?;
        ping(connection.clone()).await?;
        Ok(connection)
    }

    /// Has callers use the connection. The caller holds `owed`, so that no removal falls between.
    fn stand(&self, new: Standing) -> RedisResult<()> {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        if self.ended.load(Ordering::Acquire) >= new.number {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into());
        }
        self.listener.found();
        *standing = Some(new);
        Ok(())
    }

    fn hear(&self, number: u64, push: &PushInfo) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::Disconnection, _) => self.end(number),
            (PushKind::Message, [_, Value::BulkString(message)]) => match std::str::from_utf8(message) {
                Ok("") => self.listener.all_changed(),
                Ok(key) => self.listener.changed(key.strip_prefix(CHANGED).unwrap_or(key)),
                Err(_) => {}
            },
            _ => {}
        }
    }
}

/// What the announcement of one key begins with; an empty announcement is about all of them.
pub(super) const CHANGED: char = '=';

async fn ping(mut connection: MultiplexedConnection) -> RedisResult<()> {
    redis::cmd("PING").exec_async(&mut connection).await
}

fn client(config: &RedisConfig) -> RedisResult<Client> {
    let addr = config.addr.as_deref().and_then(host_and_port);
    let (host, port) = addr.ok_or((ErrorKind::InvalidClientConfig, "the address is not host:port"))?;
    let mut settings =
        redis::RedisConnectionInfo::default().set_db(i64::from(config.db)).set_protocol(ProtocolVersion::RESP3);
    if let Some(password) = &config.password {
        settings = settings.set_password(password.expose_secret());
    }
    let info = redis::IntoConnectionInfo::into_connection_info((host, port))?;
    Client::open(info.set_redis_settings(settings))
}

/// Whether Redis may come back without anyone changing the settings.
fn is_away(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN"))
}

/// Whether the connection is broken, or leads to a server that is no longer the one to write to.
fn needs_another_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
