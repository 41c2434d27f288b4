//! Query plans: every statement of a request uses an index; none scans or sorts a whole table.

use dogs_domain::DogId;
use dogs_domain::ports::DogQuery;
use kennel_core::{Order, Timestamp};
use kennel_storage::Migrator as _;
use kennel_storage::StorageConfig;
use kennel_storage::postgres::{Postgres, PostgresMigrator};
use kennel_testkit::TestDatabase;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{MIGRATIONS, rows};

const UUID: &str = "'019a0000-0000-7000-8000-000000000000'::uuid";

/// A database with so many rows that the planner avoids full scans. VACUUM marks all pages as visible, which index-only
/// scans need; a snapshot of a concurrent autovacuum would prevent that.
async fn filled() -> Option<(TestDatabase, Postgres)> {
    let home = TestDatabase::postgres().await?;
    let database = Postgres::open(&StorageConfig::postgres(home.dsn())).await.unwrap();
    PostgresMigrator::new(database.clone(), MIGRATIONS).up(Timestamp::from_millis(0).unwrap()).await.unwrap();
    for table in ["dogs", "outbox", "idempotency_keys", "imports", "inbox", "dead_letters"] {
        let alone = AssertSqlSafe(format!("ALTER TABLE {table} SET (autovacuum_enabled = false)"));
        sqlx::raw_sql(alone).execute(database.pool()).await.unwrap();
    }
    sqlx::raw_sql(
        "INSERT INTO dogs SELECT gen_random_uuid(), 'breed' || n % 100, repeat('x', 50), null, null, null, null, null,
                                 1, n, n FROM generate_series(1, 20000) AS n;
         INSERT INTO outbox SELECT n, 1, gen_random_uuid(), 'e', '/s', 't', 'k', n, 'c', '\\x00', null, null,
                                   CASE WHEN n <= 19000 THEN n END, CASE WHEN n <= 19000 THEN n END
         FROM generate_series(1, 20000) AS n;
         INSERT INTO idempotency_keys SELECT n, decode(repeat('00', 32), 'hex'), '{}', n FROM generate_series(1, 20000) AS n;
         INSERT INTO imports SELECT n, n, 1, decode(repeat('00', 32), 'hex'), n FROM generate_series(1, 20000) AS n;
         INSERT INTO inbox SELECT 'g', gen_random_uuid(), n FROM generate_series(1, 20000) AS n;
         INSERT INTO dead_letters SELECT gen_random_uuid(), 'g', 'e', '/s', 't', 'k', n, 'c', '\\x00', null, null, 1, 'r', n
         FROM generate_series(1, 20000) AS n;",
    )
    .execute(database.pool())
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(database.pool()).await.unwrap();
    Some((home, database))
}

async fn plan(database: &Postgres, sql: &str) -> String {
    let sql = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {sql}"));
    let steps: Vec<(String,)> = sqlx::query_as(sql).fetch_all(database.pool()).await.unwrap();
    steps.into_iter().map(|step| step.0).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn pages_read_an_index_range() {
    let Some((_home, database)) = filled().await else { return };
    for order in [Order::Ascending, Order::Descending] {
        for breed in [None, Some("husky".parse().unwrap())] {
            for after in [None, Some(DogId(Uuid::nil()))] {
                let query = DogQuery { breed: breed.clone(), after, order, limit: 1 };
                let values = [breed.as_ref().map(|_| "'breed7'"), after.map(|_| UUID), Some("20")];
                let mut sql = rows::page(&query).to_owned();
                for (number, value) in (1..).zip(values.into_iter().flatten()) {
                    sql = sql.replace(&format!("${number}"), value);
                }
                let plan = plan(&database, &sql).await;
                let index = if breed.is_some() { "using dogs_breed" } else { "using dogs_pkey" };
                assert!(plan.contains(index), "{sql}: {plan}");
                assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{sql}: {plan}");
                assert_eq!(plan.contains("Index Cond"), breed.is_some() || after.is_some(), "{sql}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_other_statements_use_an_index() {
    let Some((_home, database)) = filled().await else { return };
    for (sql, expected) in [
        ("SELECT * FROM dogs WHERE id = UUID", "Index Scan using dogs_pkey"),
        ("DELETE FROM dogs WHERE id = UUID AND revision = 1", "Index Scan using dogs_pkey"),
        (
            "SELECT ctid FROM idempotency_keys WHERE used_at < 10 ORDER BY used_at LIMIT 9 FOR UPDATE SKIP LOCKED",
            "Index Scan using idempotency_keys_used_at",
        ),
        (
            "SELECT ctid FROM imports WHERE used_at < 10 ORDER BY used_at LIMIT 9 FOR UPDATE SKIP LOCKED",
            "Index Scan using imports_used_at",
        ),
        ("SELECT * FROM outbox WHERE publish_seq IS NULL ORDER BY commit_seq, ordinal LIMIT 500", "using outbox_pending"),
        ("SELECT count(*), min(time) FROM outbox WHERE publish_seq IS NULL", "Index Only Scan using outbox_pending"),
        (
            "SELECT * FROM outbox WHERE publish_seq >= (SELECT min(publish_seq) FROM outbox WHERE id = UUID
             AND publish_seq IS NOT NULL) ORDER BY publish_seq LIMIT 100",
            "Index Only Scan using outbox_published_id",
        ),
        ("SELECT * FROM outbox WHERE publish_seq IS NOT NULL ORDER BY publish_seq DESC LIMIT 9", "using outbox_publish_seq"),
        (
            "WITH counter AS (UPDATE outbox_position SET publish_seq = publish_seq + 1 RETURNING publish_seq - 1 AS last)
             UPDATE outbox SET published_at = 1, publish_seq = counter.last + given.ordinal
             FROM counter, unnest(ARRAY[UUID]) WITH ORDINALITY AS given (id, ordinal)
             WHERE outbox.id = given.id AND outbox.publish_seq IS NULL",
            "using outbox_pending_id",
        ),
        (
            "SELECT ctid FROM outbox WHERE published_at < 10 ORDER BY published_at LIMIT 9 FOR UPDATE SKIP LOCKED",
            "Index Scan using outbox_published_at",
        ),
        (
            "SELECT ctid FROM inbox WHERE created_at < 10 ORDER BY created_at LIMIT 9 FOR UPDATE SKIP LOCKED",
            "Index Scan using inbox_created_at",
        ),
        ("DELETE FROM inbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM inbox WHERE created_at < 10 LIMIT 9))", "Tid Scan"),
        ("SELECT EXISTS (SELECT 1 FROM inbox WHERE group_name = 'g' AND event = UUID)", "using inbox_pkey"),
        ("SELECT * FROM dead_letters WHERE id > UUID ORDER BY id, group_name LIMIT 20", "using dead_letters_pkey"),
        ("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = UUID AND publish_seq IS NULL)", "using outbox_pending_id"),
    ] {
        let sql = sql.replace("UUID", UUID);
        let plan = plan(&database, &sql).await;
        assert!(plan.contains(expected), "{sql}: {plan}");
        for walk in ["Seq Scan on dogs", "Seq Scan on outbox ", "Seq Scan on i", "Sort"] {
            assert!(!plan.contains(walk), "{sql}: {plan}");
        }
    }
}
