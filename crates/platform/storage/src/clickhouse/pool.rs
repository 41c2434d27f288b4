//! The connection to one ClickHouse database.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clickhouse::query::Query;
use clickhouse::{Client, Compression};
use futures_util::future::try_join_all;
use kennel_core::{BoxError, RepoError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::commit::{Committer, RecordHeader, WriteJob, WriteTask, json};
use super::errors::is_read_only;
use super::records::{Record, RecordKey, RecordKind, parse};
use super::{Write, classify, parse_dsn};
use crate::config::parsed;
use crate::{Connections, Driver, StorageConfig};

/// Capacity of the committer's queue; further writes wait for a free slot.
const WRITE_QUEUE_CAPACITY: usize = 1_024;
/// Maximum number of keys per statement.
const MAX_KEYS_PER_STATEMENT: usize = 8_000;
/// Maximum number of records per response to a scan.
const MAX_SCAN_PAGE: usize = 10_000;
/// Timeout of statements that change the schema or purge old records.
const LONG_STATEMENT_TIMEOUT: Duration = Duration::from_mins(10);

/// Minimum interval between two renewals of the connections because of a read-only server.
const RENEW_INTERVAL: Duration = Duration::from_millis(250);

/// Settings of every statement, independent of the server's defaults.
const SETTINGS: [(&str, &str); 7] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    // One data part per insert: parallel parsing would split the body into several blocks.
    ("input_format_parallel_parsing", "0"),
    ("output_format_json_quote_64bit_integers", "0"),
    ("output_format_json_escape_forward_slashes", "0"),
    ("max_query_size", "67108864"),
    ("mutations_sync", "2"),
];

/// An open ClickHouse database. Clones share its connections and its committer.
#[derive(Clone)]
pub struct ClickHouse {
    server: Arc<Server>,
    committer: Arc<CommitterHandle>,
}

/// The committer's task and its queue.
struct CommitterHandle {
    writes: Mutex<Option<mpsc::Sender<Box<dyn WriteTask>>>>,
    task: tokio::sync::Mutex<JoinSet<()>>,
    committed: Arc<Notify>,
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouse").finish_non_exhaustive()
    }
}

/// A range of keys of one kind; both bounds are exclusive.
#[derive(Debug, Clone)]
pub struct KeyRange {
    /// The kind of records.
    pub kind: RecordKind,
    /// Only keys above this one.
    pub above: String,
    /// Only keys below this one, if given.
    pub below: Option<String>,
    /// Whether to scan from the highest key down.
    pub descending: bool,
}

impl ClickHouse {
    /// Opens the database, which must exist.
    pub async fn open(config: &StorageConfig) -> Result<Self, RepoError> {
        let server = Arc::new(Server::new(config)?);
        server.execute("SELECT 1").await?;
        let (writes, waiting) = mpsc::channel(WRITE_QUEUE_CAPACITY);
        let committed = Arc::new(Notify::new());
        let mut task = JoinSet::new();
        task.spawn(Committer::new(Arc::clone(&server), Arc::clone(&committed)).run(waiting));
        let (writes, task) = (Mutex::new(Some(writes)), tokio::sync::Mutex::new(task));
        Ok(Self { server, committer: Arc::new(CommitterHandle { writes, task, committed }) })
    }

    /// A statement; bind values to its `?` with `bind`.
    pub fn query(&self, sql: &str) -> Query {
        self.server.client().query(sql)
    }

    /// Runs a statement and deserializes its rows by column name.
    pub async fn rows<T: DeserializeOwned>(&self, query: Query) -> Result<Vec<T>, RepoError> {
        self.server.lines(query).await?.iter().map(|line| parse(line)).collect()
    }

    /// Runs a statement without a result.
    pub async fn execute(&self, sql: &str) -> Result<(), RepoError> {
        self.server.execute(sql).await
    }

    /// The existing records with these keys.
    pub async fn find(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Record>, RepoError> {
        self.server.find(keys).await
    }

    /// Up to `limit` records of a range, ordered by key.
    pub async fn scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<Record>, RepoError> {
        Ok(self.server.scan(range, limit).await?.0)
    }

    /// Up to `limit` records of a range, and the last key that was read, including keys of deleted records.
    pub(super) async fn scan_on(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<String>), RepoError> {
        self.server.scan(range, limit).await
    }

    /// Runs a statement with [`LONG_STATEMENT_TIMEOUT`], such as a schema change.
    pub(super) async fn execute_long(&self, sql: &str) -> Result<(), RepoError> {
        let query = long(self.server.client().query_raw(sql));
        self.server.call_within(LONG_STATEMENT_TIMEOUT, query.execute()).await
    }

    /// Removes the rows that match the condition `old`, and returns how many of them `table` had: `record_versions`, or
    /// `record_versions FINAL`, which does not count rows with a later version.
    ///
    /// The server deletes rows by rewriting every data part that contains any, so there are no cheap small batches:
    /// this removes all of them, one data part after another. It has the timeout of a long statement; the server
    /// continues after the timeout.
    pub async fn purge(&self, table: &str, old: &str) -> Result<u64, RepoError> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let count = long(self.query(&format!("SELECT count() AS count FROM {table} WHERE {old}")));
        let lines = self.server.lines_within(LONG_STATEMENT_TIMEOUT, count).await?;
        let count = lines.first().map_or(Ok(0), |line| parse::<Count>(line).map(|row| row.count))?;
        if count > 0 {
            self.execute_long(&format!("ALTER TABLE record_versions DELETE WHERE {old}")).await?;
        }
        Ok(count)
    }

    /// Runs an insert, unless an insert with the same token was stored before.
    pub(super) async fn execute_once(&self, sql: &str, token: &str) -> Result<(), RepoError> {
        let query = self.server.client().query_raw(sql).with_setting("insert_deduplication_token", token);
        self.server.call(query.execute()).await
    }

    /// Stores a version of a record outside of commits, unless another process has stored this version before.
    pub(super) async fn insert_version<T: Serialize>(
        &self,
        key: &RecordKey,
        version: u64,
        row: &T,
    ) -> Result<(), RepoError> {
        #[derive(Serialize)]
        struct RecordRow<'a, T> {
            #[serde(flatten)]
            head: RecordHeader<'a>,
            #[serde(flatten)]
            row: &'a T,
        }
        let head = RecordHeader { kind: key.kind.name, key: &key.key, version, deleted: 0 };
        let body = json(&RecordRow { head, row })?;
        self.server.insert(&format!("{} {} {version}", key.kind.name, key.key), &body.into()).await
    }

    /// Runs a write: everything that `change` puts into the [`Write`] is committed, or nothing. `change` sees the
    /// records with the keys `reads` as they are at the commit. It can run several times, and only its last result
    /// counts. When it returns an error, nothing is stored. After any other error it is unknown whether the write was
    /// committed.
    pub async fn write<T, F>(&self, reads: Vec<RecordKey>, change: F) -> Result<T, RepoError>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, RepoError> + Send + 'static,
    {
        let writes = self.committer.writes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let writes = writes.ok_or_else(closed)?;
        let (write, reply) = WriteJob::new(reads, change);
        let sent = timeout(self.server.acquire, writes.send(Box::new(write)));
        sent.await.map_err(|elapsed| RepoError::Unavailable(elapsed.into()))?.map_err(|_| closed())?;
        // The committer ends when all senders are dropped; waiting for the reply needs no sender.
        drop(writes);
        reply.await.map_err(|_| closed())?
    }

    /// The number of the latest commit.
    pub(super) async fn last_commit(&self) -> Result<u64, RepoError> {
        self.server.last_commit().await
    }

    pub(super) fn committed(&self) -> &Notify {
        &self.committer.committed
    }
}

/// The statement with the execution limit of long statements.
fn long(query: Query) -> Query {
    query.with_setting("max_execution_time", LONG_STATEMENT_TIMEOUT.as_secs().to_string())
}

fn closed() -> RepoError {
    RepoError::Unavailable(BoxError::from("the database is closed"))
}

#[async_trait]
impl Driver for ClickHouse {
    fn system(&self) -> &'static str {
        "clickhouse"
    }

    async fn ping(&self) -> Result<(), RepoError> {
        self.server.execute("SELECT 1").await
    }

    async fn writable(&self) -> Result<(), RepoError> {
        self.server.execute("INSERT INTO record_versions (kind) SELECT kind FROM record_versions WHERE 0").await
    }

    /// Counts requests in flight; the driver does not report its idle connections.
    fn connections(&self) -> Connections {
        let used = self.server.size.saturating_sub(self.server.requests.available_permits());
        Connections { idle: 0, used: used as u64 }
    }

    async fn close(&self) {
        drop(self.committer.writes.lock().unwrap_or_else(PoisonError::into_inner).take());
        // The committer ends after its last write.
        while self.committer.task.lock().await.join_next().await.is_some() {}
        self.server.requests.close();
    }
}

/// Creates a client with its own connections.
fn client(config: &StorageConfig) -> Result<Client, RepoError> {
    let address = parsed(config.clickhouse_url(), parse_dsn)?;
    let client = Client::default()
        .with_url(address.url)
        .with_user(address.user)
        .with_password(address.password)
        .with_database(address.database)
        .with_compression(Compression::None)
        .with_setting("max_execution_time", config.statement_timeout().as_secs().max(1).to_string());
    Ok(SETTINGS.iter().fold(client, |client, (name, value)| client.with_setting(*name, *value)))
}

/// The connection to the server, with its limits.
pub(super) struct Server {
    config: StorageConfig,
    /// The client, and when its connections were renewed.
    client: Mutex<(Client, Instant)>,
    requests: Semaphore,
    size: usize,
    acquire: Duration,
    limit: Duration,
}

impl Server {
    fn new(config: &StorageConfig) -> Result<Self, RepoError> {
        let client = Mutex::new((client(config)?, Instant::now()));
        let size = config.database_max_connections.get() as usize;
        Ok(Self {
            config: config.clone(),
            client,
            requests: Semaphore::new(size),
            size,
            acquire: config.acquire_timeout(),
            limit: config.statement_timeout() + Duration::from_secs(1),
        })
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Replaces the connections: the open ones lead to a read-only server, and new ones may reach a server that accepts
    /// writes.
    fn renew(&self) -> Result<(), RepoError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.1.elapsed() >= RENEW_INTERVAL {
            *client = (self::client(&self.config)?, Instant::now());
        }
        Ok(())
    }

    async fn call<T>(&self, call: impl Future<Output = clickhouse::error::Result<T>>) -> Result<T, RepoError> {
        self.call_within(self.limit, call).await
    }

    async fn call_within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T, RepoError> {
        let permit = timeout(self.acquire, self.requests.acquire()).await;
        let _permit = permit.map_err(|elapsed| RepoError::Unavailable(elapsed.into()))?.map_err(|_| closed())?;
        let result = timeout(limit, call).await.map_err(|elapsed| RepoError::Unavailable(elapsed.into()))?;
        if result.as_ref().is_err_and(is_read_only) {
            self.renew()?;
        }
        result.map_err(classify)
    }

    async fn execute(&self, sql: &str) -> Result<(), RepoError> {
        self.call(self.client().query_raw(sql).execute()).await
    }

    async fn lines(&self, query: Query) -> Result<Vec<String>, RepoError> {
        self.lines_within(self.limit, query).await
    }

    async fn lines_within(&self, limit: Duration, query: Query) -> Result<Vec<String>, RepoError> {
        let body = self.call_within(limit, async { query.fetch_bytes("JSONEachRow")?.collect().await }).await?;
        let text = std::str::from_utf8(&body).map_err(RepoError::corrupt)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Stores rows as one data part, unless an insert with the same token was stored before.
    pub(super) async fn insert(&self, token: &str, rows: &bytes::Bytes) -> Result<(), RepoError> {
        self.call(async {
            let mut insert = self
                .client()
                .insert_formatted_with("INSERT INTO record_versions FORMAT JSONEachRow")
                .with_setting("insert_deduplication_token", token);
            insert.send(rows.clone()).await?;
            insert.end().await
        })
        .await
    }

    /// The number of the latest commit.
    pub(super) async fn last_commit(&self) -> Result<u64, RepoError> {
        #[derive(serde::Deserialize)]
        struct Last {
            version: u64,
        }
        let sql = "SELECT version FROM record_versions WHERE kind = 'commit' ORDER BY key DESC LIMIT 1";
        let lines = self.lines(self.client().query(sql)).await?;
        lines.first().map_or(Ok(0), |line| parse::<Last>(line).map(|last| last.version))
    }

    pub(super) async fn find(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Record>, RepoError> {
        let mut kinds: HashMap<RecordKind, Vec<&str>> = HashMap::new();
        for key in keys {
            kinds.entry(key.kind).or_default().push(&key.key);
        }
        let chunks =
            kinds.iter().flat_map(|(kind, keys)| keys.chunks(MAX_KEYS_PER_STATEMENT).map(move |keys| (*kind, keys)));
        let found = try_join_all(chunks.map(|(kind, keys)| self.find_kind(kind, keys))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn find_kind(&self, kind: RecordKind, keys: &[&str]) -> Result<Vec<(RecordKey, Record)>, RepoError> {
        let sql = format!(
            "SELECT key, deleted, {} FROM record_versions WHERE kind = ? AND key IN ?
             ORDER BY key, version DESC LIMIT 1 BY key",
            kind.columns
        );
        let lines = self.lines(self.client().query(&sql).bind(kind.name).bind(keys)).await?;
        let records = lines.iter().map(|line| Record::parse(line));
        let live = records.filter(|found| !matches!(found, Ok(found) if found.deleted));
        live.map(|record| record.map(|record| (kind.key(record.key.clone()), record))).collect()
    }

    async fn scan(&self, range: &KeyRange, limit: usize) -> Result<(Vec<Record>, Option<String>), RepoError> {
        let mut range = range.clone();
        let (mut all, mut reached) = (Vec::new(), None);
        let mut size = limit;
        while all.len() < limit {
            let page = size.min(MAX_SCAN_PAGE);
            let found = self.page(&range, page).await?;
            let is_last_page = found.len() < page;
            if let Some(last) = found.last() {
                let last_key = last.key.clone();
                reached = Some(last_key.clone());
                if range.descending { range.below = Some(last_key) } else { range.above = last_key }
            }
            all.extend(found.into_iter().filter(|found| !found.deleted));
            if is_last_page {
                break;
            }
            // Larger pages skip long runs of deleted records.
            size = size.saturating_mul(4);
        }
        all.truncate(limit);
        Ok((all, reached))
    }

    /// Up to `limit` records of a range, including deleted ones.
    async fn page(&self, range: &KeyRange, limit: usize) -> Result<Vec<Record>, RepoError> {
        let order = if range.descending { "DESC" } else { "ASC" };
        let below = if range.below.is_some() { "AND key < ?" } else { "" };
        // Reads in primary key order and stops at the limit. No FINAL: it would merge the whole range.
        let sql = format!(
            "SELECT key, deleted, {} FROM record_versions WHERE kind = ? AND key > ? {below}
             ORDER BY key {order}, version DESC LIMIT 1 BY key LIMIT ?",
            range.kind.columns
        );
        let mut query = self.client().query(&sql).bind(range.kind.name).bind(range.above.as_str());
        if let Some(below) = &range.below {
            query = query.bind(below.as_str());
        }
        self.lines(query.bind(limit)).await?.iter().map(|line| Record::parse(line)).collect()
    }
}
