//! The connection to Redis, which fails fast while it is not connected.
//!
//! One connection is used for commands and for the change messages of other processes. A background task opens,
//! monitors and reopens it. While it is not connected, commands fail immediately, so an unreachable Redis does not slow
//! down requests; only commands that were running when the connection failed wait, at most for the command timeout.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use kennel_core::Backoff;
use kennel_core::cache::CacheError;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, Value,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::pending_invalidations::PendingInvalidations;
use crate::config::{CacheConfig, host_and_port};

/// Delays between attempts to connect.
const RECONNECT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
/// Number of commands that can be queued for writing.
const PIPELINE_BUFFER: usize = 1024;

/// Listener for changes in Redis, such as a cache in front of it. Called on the connection's task, so it must not
/// block.
pub(crate) trait ChangeListener: Send + Sync + 'static {
    /// The key was removed or set.
    fn key_changed(&self, key: &str);
    /// All keys were removed.
    fn all_keys_changed(&self);
    /// From now on, every change is reported.
    fn connected(&self);
    /// From now on, changes can be missed.
    fn disconnected(&self);
}

/// There is no connection, so the command fails without an attempt.
#[derive(Debug, thiserror::Error)]
#[error("not connected to redis")]
struct Disconnected;

/// Redis did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("redis did not answer within {0:?}")]
struct CommandTimeout(Duration);

/// See the [module](self).
pub(crate) struct ConnectionManager {
    shared: Arc<ManagerState>,
    _maintenance: JoinSet<()>,
}

struct ManagerState {
    client: Client,
    config: CacheConfig,
    /// Prefix of all keys.
    prefix: String,
    channel: String,
    listener: Arc<dyn ChangeListener>,
    active: RwLock<Option<ActiveConnection>>,
    /// The number of the newest connection that is known to have ended.
    ended: AtomicU64,
    disconnected: Notify,
    pending: Mutex<PendingInvalidations>,
}

#[derive(Clone)]
struct ActiveConnection {
    number: u64,
    connection: MultiplexedConnection,
}

impl ConnectionManager {
    /// Connects, and retries in the background when Redis is unreachable. Fails when Redis refuses.
    pub(crate) async fn open(
        config: CacheConfig,
        prefix: String,
        listener: Arc<dyn ChangeListener>,
    ) -> RedisResult<Self> {
        let shared = Arc::new(ManagerState {
            client: client(&config)?,
            channel: format!("{prefix}:{}:changes", config.redis_db),
            config,
            prefix,
            listener,
            active: RwLock::default(),
            ended: AtomicU64::new(0),
            disconnected: Notify::new(),
            pending: Mutex::default(),
        });
        if let Err(error) = shared.connect(1).await {
            if !is_unreachable(&error) {
                return Err(error);
            }
            tracing::warn!(error = &error as &dyn std::error::Error, "redis is unreachable, continuing without it");
        }
        let mut maintenance = JoinSet::new();
        maintenance.spawn(Arc::clone(&shared).maintain());
        Ok(Self { shared, _maintenance: maintenance })
    }

    /// Returns the pub/sub channel of change messages.
    pub(crate) fn channel(&self) -> &str {
        &self.shared.channel
    }

    /// Runs a command. Fails immediately while not connected.
    pub(crate) async fn run<T>(
        &self,
        command: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, CacheError> {
        self.shared.run(command).await
    }

    /// Defers the removal of `key` until the next connection. Returns false while connected.
    pub(crate) fn defer(&self, key: &str) -> bool {
        let mut pending = self.shared.pending();
        let is_unreachable = self.shared.active().is_none();
        if is_unreachable {
            pending.add(key);
        }
        is_unreachable
    }
}

impl ManagerState {
    fn active(&self) -> Option<ActiveConnection> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, PendingInvalidations> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T>(
        &self,
        command: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, CacheError> {
        let ActiveConnection { number, connection } = self.active().ok_or_else(|| CacheError(Disconnected.into()))?;
        match timeout(self.config.redis_timeout.get(), command(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if needs_another_connection(&error) {
                    self.discard(number);
                }
                Err(CacheError(error.into()))
            }
            Err(_) => {
                self.discard(number);
                Err(CacheError(CommandTimeout(self.config.redis_timeout.get()).into()))
            }
        }
    }

    /// Discards a connection that cannot be used any more, unless a newer one is active.
    fn discard(&self, number: u64) {
        self.ended.fetch_max(number, Ordering::AcqRel);
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if active.as_ref().is_some_and(|active| active.number == number) {
            *active = None;
            self.listener.disconnected();
            self.disconnected.notify_one();
        }
    }

    /// Opens connections, one after the other, until the task is aborted.
    async fn maintain(self: Arc<Self>) {
        let (mut number, mut failures) = (1, 0);
        loop {
            if self.active().is_some() {
                self.wait_for_disconnect().await;
                tracing::warn!("redis connection lost, continuing without it");
            }
            number += 1;
            match self.connect(number).await {
                Ok(()) => {
                    tracing::info!("redis connected");
                    failures = 0;
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cannot connect to redis");
                    failures += 1;
                    sleep(RECONNECT_BACKOFF.delay(failures)).await;
                }
            }
        }
    }

    /// Waits until the connection is discarded. Sends a ping when it is idle.
    async fn wait_for_disconnect(&self) {
        while self.active().is_some() {
            if timeout(self.config.redis.heartbeat, self.disconnected.notified()).await.is_err() {
                drop(self.run(ping).await);
            }
        }
    }

    async fn connect(self: &Arc<Self>, number: u64) -> RedisResult<()> {
        let preparing = timeout(self.config.redis.connect_timeout, self.open_connection(number));
        let connection =
            preparing.await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
        loop {
            let due = {
                let mut pending = self.pending();
                if pending.is_empty() {
                    return self.activate(ActiveConnection { number, connection });
                }
                pending.take()
            };
            let applied =
                timeout(self.config.redis.connect_timeout, due.apply(&self.prefix, &self.channel, connection.clone()));
            let applied =
                applied.await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
            if let Err(error) = applied {
                self.pending().add_all(due);
                return Err(error);
            }
        }
    }

    /// Opens a connection that is subscribed to change messages.
    async fn open_connection(self: &Arc<Self>, number: u64) -> RedisResult<MultiplexedConnection> {
        let shared: Weak<Self> = Arc::downgrade(self);
        let on_push = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if let Some(shared) = shared.upgrade() {
                shared.on_push(number, &push);
            }
            Ok(())
        };
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_push_sender(on_push);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&settings).await?;
        connection.subscribe(&self.channel).await?;
        ping(connection.clone()).await?;
        Ok(connection)
    }

    /// Makes the connection available to callers. The caller has locked `pending`, so that no removal is deferred in
    /// between.
    fn activate(&self, new: ActiveConnection) -> RedisResult<()> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        // The push that reports the end of a connection can arrive before the connection is activated.
        if self.ended.load(Ordering::Acquire) >= new.number {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into());
        }
        // Before callers can use it, so that the memory tier is empty and receives every change from here on.
        self.listener.connected();
        *active = Some(new);
        Ok(())
    }

    fn on_push(&self, number: u64, push: &PushInfo) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::Disconnection, _) => self.discard(number),
            (PushKind::Message, [_, Value::BulkString(message)]) => match std::str::from_utf8(message) {
                Ok("") => self.listener.all_keys_changed(),
                Ok(key) => self.listener.key_changed(key.strip_prefix(CHANGE_PREFIX).unwrap_or(key)),
                Err(_) => {}
            },
            _ => {}
        }
    }
}

/// First character of the change message of one key; an empty message is about all keys.
pub(super) const CHANGE_PREFIX: char = '=';

async fn ping(mut connection: MultiplexedConnection) -> RedisResult<()> {
    redis::cmd("PING").exec_async(&mut connection).await
}

fn client(config: &CacheConfig) -> RedisResult<Client> {
    let addr = config.redis_addr.as_deref().and_then(host_and_port);
    let (host, port) = addr.ok_or((ErrorKind::InvalidClientConfig, "the address is not host:port"))?;
    let mut settings =
        redis::RedisConnectionInfo::default().set_db(i64::from(config.redis_db)).set_protocol(ProtocolVersion::RESP3);
    if let Some(password) = &config.redis_password {
        settings = settings.set_password(password.expose());
    }
    let info = redis::IntoConnectionInfo::into_connection_info((host, port))?;
    Client::open(info.set_redis_settings(settings))
}

/// Returns whether a later attempt may succeed with the same settings.
fn is_unreachable(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN"))
}

/// Returns whether the connection is broken, or its server does not accept writes any more.
fn needs_another_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
