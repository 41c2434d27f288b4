//! Every command with one backend unreachable: it fails when it uses that backend, and names it; otherwise it works.

use crate::home::Home;

/// Nothing listens there.
#[allow(dead_code, clippy::allow_attributes, reason = "the features say what there is to be unreachable")]
const NOWHERE: &str = "127.0.0.1:1";
/// In every address; no error may show it.
const PASSWORD: &str = "hunter2";

/// What a command uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uses {
    Store,
    Objects,
    /// With a broker inside the process, the store.
    DeadLetters,
}

/// Each command with what it cannot do without.
const COMMANDS: [(&[&str], &[Uses]); 7] = [
    (&["migrate", "up"], &[Uses::Store]),
    (&["migrate", "status"], &[Uses::Store]),
    (&["list"], &[Uses::Store]),
    (&["export"], &[Uses::Store]),
    (&["import", "-", "--key", "k"], &[Uses::Store]),
    (&["fetch", "husky"], &[Uses::Store, Uses::Objects]),
    (&["dlq", "list"], &[Uses::DeadLetters]),
];

/// Runs every command over a home without the backend that errors call `name`, of which a command has `lost` these.
async fn every_command(home: Home, name: &str, lost: &[Uses]) {
    for (command, uses) in COMMANDS {
        let input = b"{\"breed\":\"husky\"}\n";
        let input: &[u8] = if command[0] == "import" { input } else { b"" };
        let ended = home.run_with_input(command, input).await;
        assert!(!ended.stderr.contains(PASSWORD), "{command:?}: {ended:#?}");
        if uses.iter().any(|used| lost.contains(used)) {
            let told = ended.ends(1).stderr;
            let error = told.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{told}"));
            assert!(error.contains(name), "{command:?}: {error}");
        } else {
            ended.ends(0);
        }
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn without_postgres() {
    let home = Home::new()
        .set("STORAGE", "postgres")
        .set("POSTGRES_DSN", &format!("postgres://kennel:{PASSWORD}@{NOWHERE}/dogs"))
        .set("DATABASE_ACQUIRE_TIMEOUT", "200ms");
    every_command(home, "the store `postgres`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[cfg(feature = "mysql")]
#[tokio::test]
async fn without_mysql() {
    let home = Home::new()
        .set("STORAGE", "mysql")
        .set("MYSQL_DSN", &format!("mysql://kennel:{PASSWORD}@{NOWHERE}/dogs"))
        .set("DATABASE_ACQUIRE_TIMEOUT", "200ms");
    every_command(home, "the store `mysql`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[cfg(feature = "clickhouse")]
#[tokio::test]
async fn without_clickhouse() {
    let home = Home::new()
        .set("STORAGE", "clickhouse")
        .set("CLICKHOUSE_DSN", &format!("http://kennel:{PASSWORD}@{NOWHERE}/dogs"));
    every_command(home, "the store `clickhouse`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[tokio::test]
async fn without_a_file_for_sqlite() {
    let home = Home::new();
    home.write("data", "in the way");
    let home = home.set("OBJECTS_PATH", "objects");
    every_command(home, "the store `sqlite`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn without_nats() {
    let url = format!("nats://kennel:{PASSWORD}@{NOWHERE}");
    let home = Home::new().set("BROKER", "nats").set("NATS_URL", &url);
    every_command(home, "the broker `nats` is unavailable: ", &[Uses::DeadLetters]).await;
}

#[cfg(feature = "kafka")]
#[tokio::test]
async fn without_kafka() {
    let home = Home::new().set("BROKER", "kafka").set("KAFKA_BROKERS", NOWHERE);
    every_command(home, "the broker `kafka` is unavailable: ", &[Uses::DeadLetters]).await;
}

#[cfg(feature = "rabbitmq")]
#[tokio::test]
async fn without_rabbitmq() {
    let url = format!("amqp://kennel:{PASSWORD}@{NOWHERE}");
    let home = Home::new().set("BROKER", "rabbitmq").set("RABBITMQ_URL", &url);
    every_command(home, "the broker `rabbitmq` is unavailable: ", &[Uses::DeadLetters]).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn without_redis() {
    let home = Home::new().set("CACHE", "redis").set("REDIS_ADDR", NOWHERE).set("REDIS_PASSWORD", PASSWORD);
    every_command(home, "the cache `redis`", &[]).await;
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn without_s3() {
    let home = Home::new()
        .set("OBJECTS", "s3")
        .set("S3_STORAGE_ENDPOINT", &format!("http://{NOWHERE}"))
        .set("S3_STORAGE_BUCKET", "dogs")
        .set("S3_STORAGE_KEY", "kennel")
        .set("S3_STORAGE_SECRET", PASSWORD);
    every_command(home, "the object store `s3`", &[Uses::Objects]).await;
}

#[tokio::test]
async fn without_a_folder_for_pictures() {
    let home = Home::new();
    home.write("objects", "in the way");
    let home = home.set("OBJECTS_PATH", "objects");
    every_command(home, "the object store `fs`", &[Uses::Objects]).await;
}
