//! `PostgreSQL` through a `PgBouncer` in transaction mode.

use kennel_storage::Pooler;
use kennel_storage::StorageConfig;
use kennel_storage::postgres::Postgres;
use kennel_testkit::TestDatabase;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

/// Settings for the database through `PgBouncer`; `None` when it is not installed.
fn by_pgbouncer(home: &TestDatabase, pooler: Pooler) -> Option<StorageConfig> {
    Some(StorageConfig { postgres_pooler: pooler, ..StorageConfig::postgres(home.dsn_by_pgbouncer()?) })
}

#[tokio::test]
async fn a_pooler_is_detected_and_the_error_names_the_setting() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let Some(config) = by_pgbouncer(&home, Pooler::None) else { return };
    let error = Postgres::open(&config).await.unwrap_err();
    let message = std::error::Error::source(&error).unwrap().to_string();
    assert!(message.contains("POSTGRES_POOLER=transaction"), "{message}");
}

#[tokio::test]
async fn statements_through_a_pooler_have_a_timeout() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let Some(mut config) = by_pgbouncer(&home, Pooler::Transaction) else { return };
    config.database_statement_timeout = kennel_config::HumanDuration::from_millis(300);
    let database = Postgres::open(&config).await.unwrap();
    let slow = "SELECT pg_sleep(60)";
    let alone = sqlx::query(slow).execute(database.single()).await.unwrap_err();
    let mut write = database.write().await.unwrap();
    let among_others = sqlx::query(slow).execute(write.connection()).await.unwrap_err();
    for error in [alone, among_others] {
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "57014", "{error}");
    }
}

/// Each client has more connections than the pooler has to the server, so that clients share server connections on
/// which others have prepared statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_one_pooler_do_not_get_each_others_statements() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let Some(config) = by_pgbouncer(&home, Pooler::Transaction) else { return };
    let mut tasks = JoinSet::new();
    for client in 0..3_i64 {
        let database = Postgres::open(&config).await.unwrap();
        for task in 0..10_i64 {
            let database = database.clone();
            tasks.spawn(async move {
                for round in 0..20_i64 {
                    let number = client * 10_000 + task * 100 + round;
                    let sql = AssertSqlSafe(format!("SELECT $1 + {number}"));
                    let sum: i64 = sqlx::query_scalar(sql).bind(1_i64).fetch_one(database.single()).await.unwrap();
                    assert_eq!(sum, number + 1);
                }
            });
        }
    }
    tasks.join_all().await;
}
