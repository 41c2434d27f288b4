//! Every statement on the way of a request walks an index; none reads or sorts a whole table.

use dogs_domain::DogId;
use dogs_domain::ports::DogQuery;
use kennel_core::Order;
use kennel_core::Timestamp;
use kennel_storage::Migrator as _;
use kennel_storage::sqlite::{Sqlite, SqliteConfig, SqliteMigrator};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{MIGRATIONS, rows};

async fn plan(database: &Sqlite, sql: &str) -> String {
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(database.readers()).await.unwrap();
    steps.into_iter().map(|step| step.3).collect::<Vec<_>>().join("; ")
}

async fn open(folder: &tempfile::TempDir) -> Sqlite {
    let database = Sqlite::open(&SqliteConfig::at(folder.path().join("dogs.db"))).await.unwrap();
    let now = Timestamp::from_millis(0).unwrap();
    SqliteMigrator::new(database.clone(), MIGRATIONS).up(now).await.unwrap();
    database
}

#[tokio::test]
async fn pages_walk_an_index_from_their_key_on() {
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
                // Without a key and a breed, the walk of the whole index is what is asked for; the limit ends it.
                assert!(plan.contains("SEARCH") || (after.is_none() && breed.is_none()), "{sql}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_other_statements_search() {
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
        ("SELECT * FROM outbox WHERE position IS NULL ORDER BY seq LIMIT ?", "SCAN outbox USING INDEX outbox_waiting"),
        ("SELECT count(*), min(time) FROM outbox WHERE position IS NULL", "COVERING INDEX outbox_waiting"),
        (
            "SELECT * FROM outbox WHERE position >= (SELECT min(position) FROM outbox WHERE id = ?)
             ORDER BY position LIMIT ?",
            "SEARCH outbox USING INDEX outbox_position (position>?)",
        ),
        (
            "SELECT * FROM outbox WHERE position IS NOT NULL ORDER BY position DESC LIMIT ?",
            "USING INDEX outbox_position",
        ),
        (
            "SELECT coalesce(max(position), -1) FROM outbox WHERE position IS NOT NULL",
            "USING COVERING INDEX outbox_position",
        ),
        (
            "UPDATE outbox SET published_at = ?1, position = ?2 + 1 + given.key FROM json_each(?3) AS given
             WHERE outbox.id = unhex(given.value) AND outbox.position IS NULL",
            "SEARCH outbox USING INDEX outbox_waiting_id (id=?)",
        ),
        (
            "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE published_at < ? ORDER BY published_at LIMIT ?)",
            "outbox_published_at (published_at<?)",
        ),
        (
            "DELETE FROM inbox WHERE (group_name, event) IN
             (SELECT group_name, event FROM inbox WHERE at < ? ORDER BY at LIMIT ?)",
            "inbox_at (at<?)",
        ),
        (
            "DELETE FROM inbox_attempts WHERE (group_name, event) IN
             (SELECT group_name, event FROM inbox_attempts WHERE at < ? ORDER BY at LIMIT ?)",
            "inbox_attempts_at (at<?)",
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
