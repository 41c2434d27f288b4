//! The driver `search`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kennel_app::{Component, Phase, Stop};
use kennel_core::BoxError;

/// What servers and workers use. Clones share the connection.
#[derive(Debug, Clone, Default)]
pub struct SearchDriver {
    is_connected: Arc<AtomicBool>,
}

impl SearchDriver {
    /// Whether it can be used.
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Acquire)
    }

    /// The component that connects it, and closes it in the end.
    pub fn component(&self) -> impl Component {
        SearchConnection(self.clone())
    }

    /// Sends what is buffered, and says goodbye.
    async fn close(&self) {
        tokio::task::yield_now().await;
        self.is_connected.store(false, Ordering::Release);
        tracing::info!(driver = "search", "closed");
    }
}

struct SearchConnection(SearchDriver);

#[async_trait]
impl Component for SearchConnection {
    fn name(&self) -> &'static str {
        "search"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    /// Connects. The process does not start if this fails.
    async fn init(&mut self) -> Result<(), BoxError> {
        self.0.is_connected.store(true, Ordering::Release);
        tracing::info!(driver = "search", "connected");
        Ok(())
    }

    /// Runs until everything that uses it has stopped, and then closes it; without waiting when the time to stop is over.
    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        stop.requested().await;
        tokio::select! {
            () = self.0.close() => {}
            () = stop.aborted() => {}
        }
        Ok(())
    }
}
