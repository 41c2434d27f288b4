//! Runs every command with one unreachable backend: it fails and names the backend if it uses it, and succeeds otherwise.

use crate::service_dir::ServiceDir;

/// No server listens there.
#[allow(dead_code, clippy::allow_attributes, reason = "depends on the features")]
const NOWHERE: &str = "127.0.0.1:1";
/// The password in every URL; no error may show it.
const PASSWORD: &str = "hunter2";

/// A backend that a command uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uses {
    Store,
    Objects,
    /// The store, if the broker is in-process.
    DeadLetters,
}

/// Each command with the backends that it uses.
const COMMANDS: [(&[&str], &[Uses]); 7] = [
    (&["migrate", "up"], &[Uses::Store]),
    (&["migrate", "status"], &[Uses::Store]),
    (&["list"], &[Uses::Store]),
    (&["export"], &[Uses::Store]),
    (&["import", "-", "--key", "k"], &[Uses::Store]),
    (&["fetch", "husky"], &[Uses::Store, Uses::Objects]),
    (&["dlq", "list"], &[Uses::DeadLetters]),
];

/// Runs every command without the backend that errors name `name`; the commands that use one of `lost` must fail.
async fn every_command(directory: ServiceDir, name: &str, lost: &[Uses]) {
    for (command, uses) in COMMANDS {
        let input = b"{\"breed\":\"husky\"}\n";
        let input: &[u8] = if command[0] == "import" { input } else { b"" };
        let ended = directory.run_with_input(command, input).await;
        assert!(!ended.stderr.contains(PASSWORD), "{command:?}: {ended:#?}");
        if uses.iter().any(|used| lost.contains(used)) {
            let stderr = ended.ends(1).stderr;
            let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{stderr}"));
            assert!(error.contains(name), "{command:?}: {error}");
        } else {
            ended.ends(0);
        }
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn without_postgres() {
    let directory = ServiceDir::new()
        .set("STORAGE", "postgres")
        .set("POSTGRES_DSN", &format!("postgres://kennel:{PASSWORD}@{NOWHERE}/dogs"))
        .set("DATABASE_ACQUIRE_TIMEOUT", "200ms");
    every_command(directory, "the store `postgres`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[cfg(feature = "mysql")]
#[tokio::test]
async fn without_mysql() {
    let directory = ServiceDir::new()
        .set("STORAGE", "mysql")
        .set("MYSQL_DSN", &format!("mysql://kennel:{PASSWORD}@{NOWHERE}/dogs"))
        .set("DATABASE_ACQUIRE_TIMEOUT", "200ms");
    every_command(directory, "the store `mysql`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[cfg(feature = "clickhouse")]
#[tokio::test]
async fn without_clickhouse() {
    let directory = ServiceDir::new()
        .set("STORAGE", "clickhouse")
        .set("CLICKHOUSE_DSN", &format!("http://kennel:{PASSWORD}@{NOWHERE}/dogs"));
    every_command(directory, "the store `clickhouse`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[tokio::test]
async fn without_a_file_for_sqlite() {
    let directory = ServiceDir::new();
    directory.write("data", "in the way");
    let directory = directory.set("OBJECTS_PATH", "objects");
    every_command(directory, "the store `sqlite`", &[Uses::Store, Uses::DeadLetters]).await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn without_nats() {
    let url = format!("nats://kennel:{PASSWORD}@{NOWHERE}");
    let directory = ServiceDir::new().set("BROKER", "nats").set("NATS_URL", &url);
    every_command(directory, "the broker `nats` is unavailable: ", &[Uses::DeadLetters]).await;
}

#[cfg(feature = "kafka")]
#[tokio::test]
async fn without_kafka() {
    let directory = ServiceDir::new().set("BROKER", "kafka").set("KAFKA_BROKERS", NOWHERE);
    every_command(directory, "the broker `kafka` is unavailable: ", &[Uses::DeadLetters]).await;
}

#[cfg(feature = "rabbitmq")]
#[tokio::test]
async fn without_rabbitmq() {
    let url = format!("amqp://kennel:{PASSWORD}@{NOWHERE}");
    let directory = ServiceDir::new().set("BROKER", "rabbitmq").set("RABBITMQ_URL", &url);
    every_command(directory, "the broker `rabbitmq` is unavailable: ", &[Uses::DeadLetters]).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn without_redis() {
    let directory = ServiceDir::new().set("CACHE", "redis").set("REDIS_ADDR", NOWHERE).set("REDIS_PASSWORD", PASSWORD);
    every_command(directory, "the cache `redis`", &[]).await;
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn without_s3() {
    let directory = ServiceDir::new()
        .set("OBJECTS", "s3")
        .set("S3_STORAGE_ENDPOINT", &format!("http://{NOWHERE}"))
        .set("S3_STORAGE_BUCKET", "dogs")
        .set("S3_STORAGE_KEY", "kennel")
        .set("S3_STORAGE_SECRET", PASSWORD);
    every_command(directory, "the object store `s3`", &[Uses::Objects]).await;
}

#[tokio::test]
async fn without_a_directory_for_images() {
    let directory = ServiceDir::new();
    directory.write("objects", "in the way");
    let directory = directory.set("OBJECTS_PATH", "objects");
    every_command(directory, "the object store `fs`", &[Uses::Objects]).await;
}
