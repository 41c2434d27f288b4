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

use super::commit::{Committer, Head, Job, Task, json};
use super::errors::is_read_only;
use super::records::{Found, Kind, Place, parse};
use super::{ClickHouseConfig, Write, classify};
use crate::{Connections, Database};

/// Writes that may wait for the committer; more wait for room.
const WAITING_JOBS: usize = 1_024;
/// Keys in one statement.
const KEYS_AT_ONCE: usize = 8_000;
/// Records in one answer to a scan.
const SCAN_AT_ONCE: usize = 10_000;
/// How long a statement may take that changes the schema, or removes what is old.
const LONG_STATEMENT: Duration = Duration::from_mins(10);

/// How often the connections are renewed at most because the server that they lead to does not write.
const RENEWAL: Duration = Duration::from_millis(250);

/// Settings that all statements are made with, whatever the server's own defaults are.
const SETTINGS: [(&str, &str); 7] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    // One part for each insert: blocks are put together before they are stored.
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
    committer: Arc<Committing>,
}

/// The committer's task, and the way to it.
struct Committing {
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Task>>>>,
    task: tokio::sync::Mutex<JoinSet<()>>,
    committed: Arc<Notify>,
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouse").finish_non_exhaustive()
    }
}

/// Which records to scan: those of a kind whose keys lie between two, neither included.
#[derive(Debug, Clone)]
pub struct Range {
    /// The kind.
    pub kind: Kind,
    /// Keys behind this one.
    pub above: String,
    /// Keys before this one; all, where there is none.
    pub below: Option<String>,
    /// From the last one down.
    pub descending: bool,
}

impl ClickHouse {
    /// Opens the database, which has to exist.
    pub async fn open(config: &ClickHouseConfig) -> Result<Self, RepoError> {
        let server = Arc::new(Server::new(config)?);
        server.execute("SELECT 1").await?;
        let (jobs, waiting) = mpsc::channel(WAITING_JOBS);
        let committed = Arc::new(Notify::new());
        let mut task = JoinSet::new();
        task.spawn(Committer::new(Arc::clone(&server), Arc::clone(&committed)).run(waiting));
        let (jobs, task) = (Mutex::new(Some(jobs)), tokio::sync::Mutex::new(task));
        Ok(Self { server, committer: Arc::new(Committing { jobs, task, committed }) })
    }

    /// A statement; values go to its `?` by `bind`.
    pub fn query(&self, sql: &str) -> Query {
        self.server.client().query(sql)
    }

    /// The rows that a statement answers, by the names of their columns.
    pub async fn rows<T: DeserializeOwned>(&self, query: Query) -> Result<Vec<T>, RepoError> {
        self.server.lines(query).await?.iter().map(|line| parse(line)).collect()
    }

    /// Runs a statement that answers nothing.
    pub async fn execute(&self, sql: &str) -> Result<(), RepoError> {
        self.server.execute(sql).await
    }

    /// The records at these places that are there.
    pub async fn find(&self, places: &[Place]) -> Result<HashMap<Place, Found>, RepoError> {
        self.server.find(places).await
    }

    /// Up to `limit` records of a range, by key.
    pub async fn scan(&self, range: &Range, limit: usize) -> Result<Vec<Found>, RepoError> {
        Ok(self.server.scan(range, limit).await?.0)
    }

    /// Up to `limit` records of a range, and the last key that was looked at for them, deleted ones included.
    pub(super) async fn scan_on(&self, range: &Range, limit: usize) -> Result<(Vec<Found>, Option<String>), RepoError> {
        self.server.scan(range, limit).await
    }

    /// Runs a statement that may take longer than others, such as one that changes the schema.
    pub(super) async fn execute_long(&self, sql: &str) -> Result<(), RepoError> {
        let query = long(self.server.client().query_raw(sql));
        self.server.call_within(LONG_STATEMENT, query.execute()).await
    }

    /// Removes the records that `old` describes, and answers how many there were in `table`: in `records`, or in
    /// `records FINAL`, where a record that has a later version is not counted.
    ///
    /// The server removes by writing each file anew that has any of them, so there is no cheap batch of a few: this takes
    /// all of them, one file after another. It has the limit of a long statement, and the server goes on when no one waits
    /// any more.
    pub async fn purge(&self, table: &str, old: &str) -> Result<u64, RepoError> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let count = long(self.query(&format!("SELECT count() AS count FROM {table} WHERE {old}")));
        let lines = self.server.lines_within(LONG_STATEMENT, count).await?;
        let count = lines.first().map_or(Ok(0), |line| parse::<Count>(line).map(|row| row.count))?;
        if count > 0 {
            self.execute_long(&format!("ALTER TABLE records DELETE WHERE {old}")).await?;
        }
        Ok(count)
    }

    /// Runs an insert, unless one with the same token came first.
    pub(super) async fn execute_once(&self, sql: &str, token: &str) -> Result<(), RepoError> {
        let query = self.server.client().query_raw(sql).with_setting("insert_deduplication_token", token);
        self.server.call(query.execute()).await
    }

    /// Stores a record beside all commits, unless someone else has stored this version of it.
    pub(super) async fn succeed<T: Serialize>(&self, place: &Place, version: u64, row: &T) -> Result<(), RepoError> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            #[serde(flatten)]
            head: Head<'a>,
            #[serde(flatten)]
            row: &'a T,
        }
        let head = Head { what: place.kind.name, key: &place.key, version, deleted: 0 };
        let line = json(&Line { head, row })?;
        self.server.insert(&format!("{} {} {version}", place.kind.name, place.key), &line.into()).await
    }

    /// Makes a change: what `change` puts into the [`Write`] is stored with the rest of its commit, or nothing of it.
    /// It sees the records at `reads` as they are when it takes effect. It may be asked several times, and only its
    /// last answer counts. When it fails, nothing of it is stored. After any other error it is open whether it is.
    pub async fn write<T, F>(&self, reads: Vec<Place>, change: F) -> Result<T, RepoError>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, RepoError> + Send + 'static,
    {
        let jobs = self.committer.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = jobs.ok_or_else(closed)?;
        let (job, answer) = Job::new(reads, change);
        let sent = timeout(self.server.acquire, jobs.send(Box::new(job)));
        sent.await.map_err(|elapsed| RepoError::Unavailable(elapsed.into()))?.map_err(|_| closed())?;
        // The committer ends when no one is left who could send more; waiting for an answer is not sending.
        drop(jobs);
        answer.await.map_err(|_| closed())?
    }

    /// The latest commit that was made.
    pub(super) async fn last_commit(&self) -> Result<u64, RepoError> {
        self.server.last_commit().await
    }

    pub(super) fn committed(&self) -> &Notify {
        &self.committer.committed
    }
}

/// The statement with the limit of those that may take longer than others.
fn long(query: Query) -> Query {
    query.with_setting("max_execution_time", LONG_STATEMENT.as_secs().to_string())
}

fn closed() -> RepoError {
    RepoError::Unavailable(BoxError::from("the database is closed"))
}

#[async_trait]
impl Database for ClickHouse {
    fn system(&self) -> &'static str {
        "clickhouse"
    }

    async fn ping(&self) -> Result<(), RepoError> {
        self.server.execute("SELECT 1").await
    }

    async fn writable(&self) -> Result<(), RepoError> {
        self.server.execute("INSERT INTO records (what) SELECT what FROM records WHERE 0").await
    }

    /// Requests in flight; the driver does not tell how many connections it keeps for later ones.
    fn connections(&self) -> Connections {
        let used = self.server.size.saturating_sub(self.server.requests.available_permits());
        Connections { idle: 0, used: used as u64 }
    }

    async fn close(&self) {
        drop(self.committer.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        // The committer ends with the last of its jobs.
        while self.committer.task.lock().await.join_next().await.is_some() {}
        self.server.requests.close();
    }
}

/// A client with connections of its own.
fn client(config: &ClickHouseConfig) -> Result<Client, RepoError> {
    let address = config.address().map_err(|problem| RepoError::Backend(problem.into()))?;
    let client = Client::default()
        .with_url(address.url)
        .with_user(address.user)
        .with_password(address.password)
        .with_database(address.database)
        .with_compression(Compression::None)
        .with_setting("max_execution_time", config.pool.statement_timeout().as_secs().max(1).to_string());
    Ok(SETTINGS.iter().fold(client, |client, (name, value)| client.with_setting(*name, *value)))
}

/// The server, as requests reach it.
pub(super) struct Server {
    config: ClickHouseConfig,
    /// With its connections, and since when it has them.
    client: Mutex<(Client, Instant)>,
    requests: Semaphore,
    size: usize,
    acquire: Duration,
    limit: Duration,
}

impl Server {
    fn new(config: &ClickHouseConfig) -> Result<Self, RepoError> {
        let client = Mutex::new((client(config)?, Instant::now()));
        let size = config.pool.max_connections.get() as usize;
        Ok(Self {
            config: config.clone(),
            client,
            requests: Semaphore::new(size),
            size,
            acquire: config.pool.acquire_timeout(),
            limit: config.pool.statement_timeout() + Duration::from_secs(1),
        })
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Goes on with new connections: those that are open lead to a server that does not write, and another may do by now.
    fn renew(&self) -> Result<(), RepoError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.1.elapsed() >= RENEWAL {
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
        let turn = timeout(self.acquire, self.requests.acquire()).await;
        let _turn = turn.map_err(|elapsed| RepoError::Unavailable(elapsed.into()))?.map_err(|_| closed())?;
        let answer = timeout(limit, call).await.map_err(|elapsed| RepoError::Unavailable(elapsed.into()))?;
        if answer.as_ref().is_err_and(is_read_only) {
            self.renew()?;
        }
        answer.map_err(classify)
    }

    async fn execute(&self, sql: &str) -> Result<(), RepoError> {
        self.call(self.client().query_raw(sql).execute()).await
    }

    async fn lines(&self, query: Query) -> Result<Vec<String>, RepoError> {
        self.lines_within(self.limit, query).await
    }

    async fn lines_within(&self, limit: Duration, query: Query) -> Result<Vec<String>, RepoError> {
        let body = self.call_within(limit, async { query.fetch_bytes("JSONEachRow")?.collect().await }).await?;
        let text = std::str::from_utf8(&body).map_err(|error| RepoError::Corrupt(error.into()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Stores rows in one part, unless an insert with the same token came first.
    pub(super) async fn insert(&self, token: &str, rows: &bytes::Bytes) -> Result<(), RepoError> {
        self.call(async {
            let mut insert = self
                .client()
                .insert_formatted_with("INSERT INTO records FORMAT JSONEachRow")
                .with_setting("insert_deduplication_token", token);
            insert.send(rows.clone()).await?;
            insert.end().await
        })
        .await
    }

    /// The latest commit that was made.
    pub(super) async fn last_commit(&self) -> Result<u64, RepoError> {
        #[derive(serde::Deserialize)]
        struct Last {
            version: u64,
        }
        let sql = "SELECT version FROM records WHERE what = 'commit' ORDER BY key DESC LIMIT 1";
        let lines = self.lines(self.client().query(sql)).await?;
        lines.first().map_or(Ok(0), |line| parse::<Last>(line).map(|last| last.version))
    }

    pub(super) async fn find(&self, places: &[Place]) -> Result<HashMap<Place, Found>, RepoError> {
        let mut kinds: HashMap<Kind, Vec<&str>> = HashMap::new();
        for place in places {
            kinds.entry(place.kind).or_default().push(&place.key);
        }
        let parts = kinds.iter().flat_map(|(kind, keys)| keys.chunks(KEYS_AT_ONCE).map(move |keys| (*kind, keys)));
        let found = try_join_all(parts.map(|(kind, keys)| self.find_kind(kind, keys))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn find_kind(&self, kind: Kind, keys: &[&str]) -> Result<Vec<(Place, Found)>, RepoError> {
        let sql = format!(
            "SELECT key, deleted, {} FROM records WHERE what = ? AND key IN ?
             ORDER BY key, version DESC LIMIT 1 BY key",
            kind.columns
        );
        let lines = self.lines(self.client().query(&sql).bind(kind.name).bind(keys)).await?;
        let found = lines.iter().map(|line| Found::parse(line));
        let live = found.filter(|found| !matches!(found, Ok(found) if found.deleted));
        live.map(|found| found.map(|found| (kind.at(found.key.clone()), found))).collect()
    }

    async fn scan(&self, range: &Range, limit: usize) -> Result<(Vec<Found>, Option<String>), RepoError> {
        let mut range = range.clone();
        let (mut all, mut reached) = (Vec::new(), None);
        let mut size = limit;
        while all.len() < limit {
            let page = size.min(SCAN_AT_ONCE);
            let found = self.page(&range, page).await?;
            let whole = found.len() < page;
            if let Some(last) = found.last() {
                let place = last.key.clone();
                reached = Some(place.clone());
                if range.descending { range.below = Some(place) } else { range.above = place }
            }
            all.extend(found.into_iter().filter(|found| !found.deleted));
            if whole {
                break;
            }
            // Where much is deleted, larger strides come past it.
            size = size.saturating_mul(4);
        }
        all.truncate(limit);
        Ok((all, reached))
    }

    /// Up to `limit` places of a range, those with deleted records included.
    async fn page(&self, range: &Range, limit: usize) -> Result<Vec<Found>, RepoError> {
        let order = if range.descending { "DESC" } else { "ASC" };
        let below = if range.below.is_some() { "AND key < ?" } else { "" };
        // Read in the order of the primary key, and only as far as the limit: no FINAL, which would merge the range.
        let sql = format!(
            "SELECT key, deleted, {} FROM records WHERE what = ? AND key > ? {below}
             ORDER BY key {order}, version DESC LIMIT 1 BY key LIMIT ?",
            range.kind.columns
        );
        let mut query = self.client().query(&sql).bind(range.kind.name).bind(range.above.as_str());
        if let Some(below) = &range.below {
            query = query.bind(below.as_str());
        }
        self.lines(query.bind(limit)).await?.iter().map(|line| Found::parse(line)).collect()
    }
}
