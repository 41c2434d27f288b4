//! What tells a process to stop.

use std::future::pending;
use std::io;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Completes when a graceful stop is to be cut short.
pub struct Abort(BoxFuture<'static, ()>);

impl Abort {
    /// Cuts the stop short once `when` completes.
    pub fn when(when: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(when.boxed())
    }

    /// Completes when the stop is to be cut short.
    pub async fn wait(self) {
        self.0.await;
    }
}

impl std::fmt::Debug for Abort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Abort(..)")
    }
}

/// Never cuts the stop short.
impl From<()> for Abort {
    fn from((): ()) -> Self {
        Self::when(pending())
    }
}

/// Completes at the first SIGTERM or SIGINT; the [`Abort`] it gives completes at the second. Both are caught from the
/// moment of the call, for the rest of the process's life.
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
            tracing::warn!(signal, "stopping at once");
        })
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
