//! Namespaces on broker servers: a unique prefix of names, all of which are deleted when the value is dropped.

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
mod proxied_broker;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::time::Duration;

use kennel_core::{IdSource as _, UuidV7};

#[cfg(feature = "kafka")]
pub use kafka::{Kafka, remove_topics};
#[cfg(feature = "nats")]
pub use nats::{Nats, remove_streams};
pub use proxied_broker::ProxiedBroker;
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::{Rabbit, remove_queues_and_exchanges};

/// Timeout of deleting a namespace.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10);

/// Generates a unique prefix.
fn prefix() -> String {
    format!("t{}", UuidV7.next().simple())
}

/// Runs `work` to completion on a separate runtime, because the test's runtime may be shutting down.
fn clear(prefix: &str, work: impl Future<Output = Result<(), String>> + Send) {
    let cleared = std::thread::scope(|scope| {
        let cleared = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let limited = runtime.block_on(async { tokio::time::timeout(DELETE_TIMEOUT, work).await });
            runtime.shutdown_background();
            limited.unwrap_or_else(|elapsed| Err(elapsed.to_string()))
        });
        cleared.join().unwrap_or_else(|_| Err("panicked".to_owned()))
    });
    if let Err(error) = cleared {
        eprintln!("cannot delete names with the prefix {prefix}: {error}");
    }
}
