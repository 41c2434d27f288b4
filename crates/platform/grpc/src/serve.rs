//! Connections: accepted up to a limit, served until they end, drained when the server stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use kennel_app::Stop;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::GrpcConfig;
use crate::call::Calls;

const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// How long to wait when accepting fails, as it does when file descriptors run out.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How long a connection without calls may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long calls may take to notice that their connection is gone.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Runs calls in tasks that can be waited for.
#[derive(Clone, Default)]
struct Tasks(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// Serves until `stop` is requested, then until every call has ended or `stop` is aborted.
pub(crate) async fn serve(listener: TcpListener, config: &GrpcConfig, calls: Calls, stop: &Stop) {
    let tasks = Tasks::default();
    let http = http2(config, tasks.clone());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(config.max_connections));
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, listener.accept().await?.0))
        };
        let (place, stream) = tokio::select! {
            biased;
            () = stop.requested() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    back_off(&error).await;
                    continue;
                }
            },
        };
        let held = (place, calls.shared.metrics.connection());
        let (http, calls, watcher) = (http.clone(), calls.clone(), graceful.watcher());
        let (silence, stop) = (config.keepalive_timeout, stop.clone());
        connections.spawn(async move {
            let _held = held;
            if speaks(&stream, silence, &stop).await {
                converse(watcher.watch(http.serve_connection(TokioIo::new(stream), calls))).await;
            }
        });
    }
    drop(listener);
    drain(connections, graceful, tasks, stop).await;
}

async fn back_off(error: &io::Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "connection is not accepted");
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}

async fn converse(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection broke");
    }
}

fn http2(config: &GrpcConfig, tasks: Tasks) -> hyper::server::conn::http2::Builder<Tasks> {
    let mut http = hyper::server::conn::http2::Builder::new(tasks);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams_per_connection)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout);
    http
}

/// Whether the other end says anything in time; one that does not would hold its place for ever.
async fn speaks(stream: &TcpStream, silence: Duration, stop: &Stop) -> bool {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection keeps its delay");
    }
    let mut first = [0];
    tokio::select! {
        spoke = timeout(silence, stream.peek(&mut first)) => matches!(spoke, Ok(Ok(1))),
        () = stop.requested() => false,
    }
}

async fn drain(mut connections: JoinSet<()>, graceful: GracefulShutdown, tasks: Tasks, stop: &Stop) {
    tasks.0.close();
    tokio::select! {
        () = graceful.shutdown() => {}
        () = idle(&tasks.0) => {}
        () = stop.aborted() => tracing::warn!(calls = tasks.0.len(), "calls are cut off"),
    }
    connections.shutdown().await;
    if timeout(ABORT_GRACE, tasks.0.wait()).await.is_err() {
        tracing::warn!(calls = tasks.0.len(), "calls did not end with their connection");
    }
}

/// Completes once no call runs and none has for a moment: a connection that is still open has nothing more to say, or
/// never said anything whole.
async fn idle(calls: &TaskTracker) {
    loop {
        calls.wait().await;
        tokio::time::sleep(GOODBYE).await;
        if calls.is_empty() {
            return;
        }
    }
}
