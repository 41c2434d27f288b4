//! Signals that stop the process.

use std::future::pending;
use std::io;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Future that completes when the graceful stop has to be aborted.
pub struct Abort(BoxFuture<'static, ()>);

impl Abort {
    /// Aborts the graceful stop when `when` completes.
    pub fn when(when: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(when.boxed())
    }

    /// Waits until the graceful stop has to be aborted.
    pub async fn wait(self) {
        self.0.await;
    }
}

impl std::fmt::Debug for Abort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Abort(..)")
    }
}

/// Never aborts the graceful stop.
impl From<()> for Abort {
    fn from((): ()) -> Self {
        Self::when(pending())
    }
}

/// Returns a future that completes at the first SIGTERM or SIGINT, with an [`Abort`] that completes at the second. The
/// handlers are installed by this call and stay for the lifetime of the process.
///
/// Fails when the handlers cannot be installed.
pub fn signals() -> io::Result<impl Future<Output = Abort> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let signal = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal, "stopping");
        Abort::when(async move {
            let signal = next(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal, "aborting the graceful stop");
        })
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
