//! Every statement on the way of a request walks an index; none reads or sorts a whole table.

use dogs_domain::DogId;
use dogs_domain::ports::DogQuery;
use kennel_core::{Order, Timestamp};
use kennel_storage::Migrator as _;
use kennel_storage::mysql::{Mysql, MysqlConfig, MysqlMigrator};
use kennel_testkit::TestDatabase;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{MIGRATIONS, rows};

const UUID: &str = "X'019a0000000070008000000000000000'";
/// The numbers from 1 to 20000.
const NUMBERS: &str = "(SELECT 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
    FROM d AS a CROSS JOIN d AS b CROSS JOIN d AS c CROSS JOIN d AS d CROSS JOIN (SELECT 0 AS n UNION SELECT 1) AS e)";

/// A database with so many rows that the planner would not read them all for a few.
async fn filled() -> Option<(TestDatabase, Mysql)> {
    let home = TestDatabase::mysql().await?;
    let database = Mysql::open(&MysqlConfig::at(home.dsn())).await.unwrap();
    MysqlMigrator::new(database.clone(), MIGRATIONS).up(Timestamp::from_millis(0).unwrap()).await.unwrap();
    let sql = "CREATE TABLE d (n INT);
         INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
         INSERT INTO dogs SELECT UNHEX(LEFT(SHA2(n, 224), 32)), CONCAT('breed', n % 100), 'x', null, null, null, null, null, 1, n, n
             FROM NUMBERS AS n;
         INSERT INTO outbox (id, name, source, topic, `key`, time, data, position, published_at)
             SELECT UNHEX(LEFT(SHA2(n, 224), 32)), 'e', '/s', 't', 'k', n, 'x', IF(n <= 10000, n, NULL), IF(n <= 10000, n, NULL)
             FROM NUMBERS AS n;
         INSERT INTO idempotency_keys SELECT n, REPEAT('x', 32), '{}', n, 1 FROM NUMBERS AS n;
         INSERT INTO imports SELECT n, n, 1, REPEAT('x', 32), n FROM NUMBERS AS n;
         INSERT INTO inbox SELECT 'g', UNHEX(LEFT(SHA2(n, 224), 32)), n FROM NUMBERS AS n;
         INSERT INTO dead_letters SELECT UNHEX(LEFT(SHA2(n, 224), 32)), 'g', 'e', '/s', 't', 'k', n, 'x', null, null, 1, 'r', n
             FROM NUMBERS AS n;
         ANALYZE TABLE dogs, outbox, idempotency_keys, imports, inbox, dead_letters;";
    sqlx::raw_sql(AssertSqlSafe(sql.replace("NUMBERS", NUMBERS))).execute(database.pool()).await.unwrap();
    Some((home, database))
}

/// The tables of the plan, each with how it is read, by which index, and what else is done.
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
async fn pages_walk_an_index_from_their_key_on() {
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
async fn the_other_statements_search() {
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
        ("SELECT * FROM outbox WHERE position IS NULL ORDER BY seq LIMIT 100", "outbox_position"),
        ("SELECT count(*), min(time) FROM outbox WHERE position IS NULL", "outbox_position Using where; Using index"),
        (
            "SELECT * FROM outbox WHERE position >= (SELECT min(position) FROM outbox WHERE id = UNHEX(LEFT(SHA2(9990, 224), 32)))
             ORDER BY position LIMIT 100",
            "outbox range outbox_position",
        ),
        (
            "SELECT * FROM outbox WHERE position IS NOT NULL ORDER BY position DESC LIMIT 9",
            "outbox range outbox_position",
        ),
        (
            "UPDATE JSON_TABLE('[\"00\"]', '$[*]' COLUMNS (ordinal FOR ORDINALITY, id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN outbox FORCE INDEX (outbox_waiting_id) ON outbox.waiting_id = UNHEX(given.id)
             SET outbox.position = 7 + given.ordinal, outbox.published_at = 1",
            "outbox eq_ref outbox_waiting_id",
        ),
        (
            "DELETE FROM outbox WHERE published_at < 10 ORDER BY published_at LIMIT 1000",
            "outbox range outbox_published_at",
        ),
        ("DELETE FROM inbox WHERE at < 10 ORDER BY at LIMIT 1000", "inbox range inbox_at"),
        ("SELECT 1 FROM inbox WHERE group_name = 'g' AND event = UNHEX(LEFT(SHA2(7, 224), 32))", "inbox const PRIMARY"),
        ("SELECT * FROM dead_letters WHERE id > UUID ORDER BY id, group_name LIMIT 20", "dead_letters range PRIMARY"),
        ("SELECT max(seq) FROM outbox", "Select tables optimized away"),
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
