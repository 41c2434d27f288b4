//! Query plans: every statement of a request uses an index; none scans or sorts a whole table.

use dogs_domain::DogId;
use dogs_domain::ports::DogQuery;
use kennel_core::{Order, Timestamp};
use kennel_storage::Migrator as _;
use kennel_storage::StorageConfig;
use kennel_storage::mysql::{Mysql, MysqlMigrator};
use kennel_testkit::TestDatabase;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{MIGRATIONS, rows};

const UUID: &str = "X'019a0000000070008000000000000000'";
/// The numbers from 1 to 20000.
const NUMBERS: &str = "(SELECT 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM d AS a CROSS JOIN d AS b CROSS JOIN d AS c CROSS JOIN d AS d CROSS JOIN (SELECT 0 AS n UNION SELECT 1) AS e)";

/// A database with so many rows that the planner avoids full scans.
async fn filled() -> Option<(TestDatabase, Mysql)> {
    let home = TestDatabase::mysql().await?;
    let database = Mysql::open(&StorageConfig::mysql(home.dsn())).await.unwrap();
    MysqlMigrator::new(database.clone(), MIGRATIONS).up(Timestamp::from_millis(0).unwrap()).await.unwrap();
    let sql = "CREATE TABLE d (n INT);
         INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
         INSERT INTO dogs SELECT UNHEX(LEFT(SHA2(n, 224), 32)), CONCAT('breed', n % 100), 'x', null, null, null, null, null, 1, n, n
             FROM NUMBERS AS n;
         INSERT INTO outbox (id, name, source, topic, `key`, time, content_type, data, publish_seq, published_at)
             SELECT UNHEX(LEFT(SHA2(n, 224), 32)), 'e', '/s', 't', 'k', n, 'c', 'x', IF(n <= 10000, n, NULL), IF(n <= 10000, n, NULL)
             FROM NUMBERS AS n;
         INSERT INTO idempotency_keys SELECT n, REPEAT('x', 32), '{}', n, 1 FROM NUMBERS AS n;
         INSERT INTO imports SELECT n, n, 1, REPEAT('x', 32), n FROM NUMBERS AS n;
         INSERT INTO inbox SELECT 'g', UNHEX(LEFT(SHA2(n, 224), 32)), n FROM NUMBERS AS n;
         INSERT INTO dead_letters SELECT UNHEX(LEFT(SHA2(n, 224), 32)), 'g', 'e', '/s', 't', 'k', n, 'c', 'x', null, null, 1, 'r', n
             FROM NUMBERS AS n;
         ANALYZE TABLE dogs, outbox, idempotency_keys, imports, inbox, dead_letters;";
    sqlx::raw_sql(AssertSqlSafe(sql.replace("NUMBERS", NUMBERS))).execute(database.pool()).await.unwrap();
    Some((home, database))
}

/// The tables of the plan, each with its access type, index and extra steps.
async fn plan(database: &Mysql, sql: &str) -> String {
    let steps = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN FORMAT=TRADITIONAL {sql}")))
        .fetch_all(database.pool())
        .await
        .unwrap();
    let text = |row: &sqlx::mysql::MySqlRow, column: &str| {
        row.try_get_unchecked::<Option<String>, _>(column).unwrap().unwrap_or_default()
    };
    let step = |row| ["table", "type", "key", "Extra"].map(|column| text(row, column)).join(" ");
    steps.iter().map(step).collect::<Vec<_>>().join("; ")
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
                for value in values.into_iter().flatten() {
                    sql = sql.replacen('?', value, 1);
                }
                let plan = plan(&database, &sql).await;
                let index = match (breed.is_some(), after.is_some()) {
                    (false, false) => "dogs index PRIMARY",
                    (false, true) => "dogs range PRIMARY",
                    (true, false) => "dogs ref dogs_breed",
                    (true, true) => "dogs range dogs_breed",
                };
                assert!(plan.contains(index), "{sql}: {plan}");
                assert!(!plan.contains("filesort") && !plan.contains("temporary"), "{sql}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_other_statements_use_an_index() {
    let Some((_home, database)) = filled().await else { return };
    for (sql, expected) in [
        ("SELECT * FROM dogs WHERE id = UNHEX(LEFT(SHA2(7, 224), 32))", "dogs const PRIMARY"),
        ("DELETE FROM dogs WHERE id = UUID AND revision = 1", "dogs range PRIMARY"),
        ("SELECT breed, count(*) FROM dogs GROUP BY breed ORDER BY breed", "dogs index dogs_breed"),
        (
            "SELECT dogs.id FROM JSON_TABLE('[\"00\"]', '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN dogs FORCE INDEX (PRIMARY) ON dogs.id = UNHEX(given.id)",
            "dogs eq_ref PRIMARY",
        ),
        (
            "DELETE FROM idempotency_keys WHERE used_at < 10 ORDER BY used_at LIMIT 1000",
            "idempotency_keys range idempotency_keys_used_at",
        ),
        ("DELETE FROM imports WHERE used_at < 10 ORDER BY used_at LIMIT 1000", "imports range imports_used_at"),
        ("SELECT * FROM outbox WHERE publish_seq IS NULL ORDER BY commit_seq LIMIT 500", "outbox_publish_seq"),
        ("SELECT count(*), min(time) FROM outbox WHERE publish_seq IS NULL", "outbox_publish_seq Using where; Using index"),
        (
            "SELECT * FROM outbox WHERE publish_seq >= (SELECT min(publish_seq) FROM outbox WHERE id = UNHEX(LEFT(SHA2(9990, 224), 32)))
             ORDER BY publish_seq LIMIT 100",
            "outbox range outbox_publish_seq",
        ),
        (
            "SELECT * FROM outbox WHERE publish_seq IS NOT NULL ORDER BY publish_seq DESC LIMIT 9",
            "outbox range outbox_publish_seq",
        ),
        (
            "UPDATE JSON_TABLE('[\"00\"]', '$[*]' COLUMNS (ordinal FOR ORDINALITY, id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN outbox FORCE INDEX (outbox_pending_id) ON outbox.pending_id = UNHEX(given.id)
             SET outbox.publish_seq = 7 + given.ordinal, outbox.published_at = 1",
            "outbox eq_ref outbox_pending_id",
        ),
        (
            "DELETE FROM outbox WHERE published_at < 10 ORDER BY published_at LIMIT 1000",
            "outbox range outbox_published_at",
        ),
        ("DELETE FROM inbox WHERE created_at < 10 ORDER BY created_at LIMIT 1000", "inbox range inbox_created_at"),
        (
            "SELECT event FROM JSON_TABLE('[\"00\"]', '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN inbox FORCE INDEX (PRIMARY) ON group_name = 'g' AND event = UNHEX(given.id)",
            "inbox eq_ref PRIMARY",
        ),
        (
            "SELECT event, attempts FROM JSON_TABLE('[\"00\"]', '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN inbox_attempts FORCE INDEX (PRIMARY) ON group_name = 'g' AND event = UNHEX(given.id)",
            "inbox_attempts eq_ref PRIMARY",
        ),
        ("SELECT * FROM dead_letters WHERE id > UUID ORDER BY id, group_name LIMIT 20", "dead_letters range PRIMARY"),
        ("SELECT max(commit_seq) FROM outbox", "Select tables optimized away"),
    ] {
        let sql = sql.replace("UUID", UUID);
        let plan = plan(&database, &sql).await;
        assert!(plan.contains(expected), "{sql}: {plan}");
        assert!(
            !plan.contains("filesort") && !plan.contains("dogs ALL") && !plan.contains("outbox ALL"),
            "{sql}: {plan}"
        );
    }
}
