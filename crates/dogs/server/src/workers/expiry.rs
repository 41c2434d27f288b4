//! Removes expired idempotency keys and the progress of old imports.

use std::sync::Arc;
use std::time::Duration;

use dogs_domain::DogRetention;
use kennel_app::{Component, Periodic, in_batches};
use kennel_core::Clock;

/// How often expired rows are removed.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);

/// The worker that removes rows older than `retention` from the repository. Replicas that purge at the same time share the
/// work, and the next purge completes an interrupted one.
pub fn expiry_worker(dogs: Arc<dyn DogRetention>, clock: Arc<dyn Clock>, retention: Duration) -> impl Component {
    Periodic::new("expiry", PURGE_INTERVAL, move || {
        let (dogs, before) = (Arc::clone(&dogs), clock.now().saturating_sub(retention));
        async move {
            let removed = in_batches(|rows| dogs.purge(before, rows)).await?;
            if removed > 0 {
                tracing::info!(removed, "removed expired idempotency keys and imports");
            }
            Ok(())
        }
    })
}
