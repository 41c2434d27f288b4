//! Query plans: every statement of a request uses an index; none scans or sorts a whole table.

use dogs_domain::DogId;
use dogs_domain::ports::DogQuery;
use kennel_core::Order;
use kennel_core::Timestamp;
use kennel_storage::Migrator as _;
use kennel_storage::StorageConfig;
use kennel_storage::sqlite::{Sqlite, SqliteMigrator};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{MIGRATIONS, rows};

async fn plan(database: &Sqlite, sql: &str) -> String {
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(database.readers()).await.unwrap();
    steps.into_iter().map(|step| step.3).collect::<Vec<_>>().join("; ")
}

async fn open(folder: &tempfile::TempDir) -> Sqlite {
    let database = Sqlite::open(&StorageConfig::sqlite(folder.path().join("dogs.db")), "dogs").await.unwrap();
    let now = Timestamp::from_millis(0).unwrap();
    SqliteMigrator::new(database.clone(), MIGRATIONS).up(now).await.unwrap();
    database
}

#[tokio::test]
async fn pages_read_an_index_range() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    for order in [Order::Ascending, Order::Descending] {
        for breed in [None, Some("husky".parse().unwrap())] {
            for after in [None, Some(DogId(Uuid::nil()))] {
                let query = DogQuery { breed: breed.clone(), after, order, limit: 1 };
                let sql = rows::page(&query);
                let plan = plan(&database, sql).await;
                let index = if breed.is_some() { "dogs_breed (breed=?" } else { "sqlite_autoindex_dogs_1" };
                assert!(plan.contains(index), "{sql}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
                // Without a key and a breed, a scan of the whole index is correct; the limit ends it.
                assert!(plan.contains("SEARCH") || (after.is_none() && breed.is_none()), "{sql}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_other_statements_use_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    for (sql, expected) in [
        ("SELECT * FROM dogs WHERE id = ?", "SEARCH dogs USING INDEX sqlite_autoindex_dogs_1 (id=?)"),
        ("DELETE FROM dogs WHERE id = ? AND revision = ?", "SEARCH dogs USING INDEX sqlite_autoindex_dogs_1 (id=?)"),
        ("SELECT breed, count(*) FROM dogs GROUP BY breed ORDER BY breed", "SCAN dogs USING COVERING INDEX dogs_breed"),
        (
            "SELECT dogs.id FROM json_each(?) AS given CROSS JOIN dogs ON dogs.id = unhex(given.value)",
            "SEARCH dogs USING COVERING INDEX sqlite_autoindex_dogs_1 (id=?)",
        ),
        ("DELETE FROM idempotency_keys WHERE used_at < ?", "idempotency_keys_used_at (used_at<?)"),
        (
            "SELECT * FROM outbox WHERE publish_seq IS NULL ORDER BY commit_seq LIMIT ?",
            "SCAN outbox USING INDEX outbox_pending",
        ),
        ("SELECT count(*), min(time) FROM outbox WHERE publish_seq IS NULL", "COVERING INDEX outbox_pending"),
        (
            "SELECT * FROM outbox WHERE publish_seq >= (SELECT min(publish_seq) FROM outbox WHERE id = ?)
             ORDER BY publish_seq LIMIT ?",
            "SEARCH outbox USING INDEX outbox_publish_seq (publish_seq>?)",
        ),
        (
            "SELECT * FROM outbox WHERE publish_seq IS NOT NULL ORDER BY publish_seq DESC LIMIT ?",
            "USING INDEX outbox_publish_seq",
        ),
        (
            "SELECT coalesce(max(publish_seq), -1) FROM outbox WHERE publish_seq IS NOT NULL",
            "USING COVERING INDEX outbox_publish_seq",
        ),
        (
            "UPDATE outbox SET published_at = ?1, publish_seq = ?2 + 1 + given.key FROM json_each(?3) AS given
             WHERE outbox.id = unhex(given.value) AND outbox.publish_seq IS NULL",
            "SEARCH outbox USING INDEX outbox_pending_id (id=?)",
        ),
        (
            "DELETE FROM outbox WHERE commit_seq IN (SELECT commit_seq FROM outbox WHERE published_at < ? ORDER BY published_at LIMIT ?)",
            "outbox_published_at (published_at<?)",
        ),
        (
            "DELETE FROM inbox WHERE (group_name, event) IN
             (SELECT group_name, event FROM inbox WHERE created_at < ? ORDER BY created_at LIMIT ?)",
            "inbox_created_at (created_at<?)",
        ),
        (
            "DELETE FROM inbox_attempts WHERE (group_name, event) IN
             (SELECT group_name, event FROM inbox_attempts WHERE last_attempt_at < ? ORDER BY last_attempt_at LIMIT ?)",
            "inbox_attempts_last_attempt_at (last_attempt_at<?)",
        ),
        (
            "SELECT attempts FROM inbox_attempts WHERE group_name = ? AND event = ?",
            "SEARCH inbox_attempts USING PRIMARY KEY",
        ),
        (
            "DELETE FROM imports WHERE key IN (SELECT key FROM imports WHERE used_at < ? ORDER BY used_at LIMIT ?)",
            "imports_used_at (used_at<?)",
        ),
        (
            "DELETE FROM idempotency_keys WHERE key IN
             (SELECT key FROM idempotency_keys WHERE used_at < ? ORDER BY used_at LIMIT ?)",
            "idempotency_keys_used_at (used_at<?)",
        ),
    ] {
        let plan = plan(&database, sql).await;
        assert!(plan.contains(expected), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
