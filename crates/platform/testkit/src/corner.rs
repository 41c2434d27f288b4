//! Corners of broker servers: names that begin with a prefix no one else has, and that go away with the value.

mod distant;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::time::Duration;

use kennel_core::{IdSource as _, UuidV7};

pub use distant::Distant;
#[cfg(feature = "kafka")]
pub use kafka::{Kafka, remove_topics};
#[cfg(feature = "nats")]
pub use nats::{Nats, remove_streams};
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::{Rabbit, remove_queues_and_exchanges};

/// How long clearing a corner may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A prefix that no one else has.
fn prefix() -> String {
    format!("t{}", UuidV7.next().simple())
}

/// Runs `work` to its end beside the test's runtime, which may be on its way out.
fn clear(prefix: &str, work: impl Future<Output = Result<(), String>> + Send) {
    let cleared = std::thread::scope(|scope| {
        let cleared = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let limited = runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
            runtime.shutdown_background();
            limited.unwrap_or_else(|elapsed| Err(elapsed.to_string()))
        });
        cleared.join().unwrap_or_else(|_| Err("panicked".to_owned()))
    });
    if let Err(error) = cleared {
        eprintln!("names that begin with {prefix} are left behind: {error}");
    }
}
