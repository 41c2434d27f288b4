//! Accepts connections up to a limit, serves them, and drains them when the server stops.

use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use kennel_app::Stop;
use kennel_net::{Acceptor, Connection, Connections, Incoming};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::GrpcConfig;
use crate::call::CallService;

const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// How long a connection without calls may take to close gracefully.
const IDLE_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long calls may take to end after their connection is closed.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs calls in tracked tasks, so that the shutdown can wait for them.
#[derive(Clone, Default)]
struct CallTasks(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for CallTasks {
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// Serves until `stop` is requested, then until every call has ended or `stop` is aborted.
pub(crate) async fn serve(mut acceptor: Acceptor, config: &GrpcConfig, calls: CallService, stop: &Stop) {
    let tasks = CallTasks::default();
    let http = http2(config, tasks.clone());
    let graceful = GracefulShutdown::new();
    let connection = |accepted: Incoming, _peer| {
        let open = calls.server.metrics.connection();
        let (http, calls, watcher) = (http.clone(), calls.clone(), graceful.watcher());
        let (first_byte_timeout, stop) = (config.keepalive_timeout, stop.clone());
        async move {
            let _open = open;
            let Some(mut stream) = accepted.establish().await else { return };
            if receives_data(&mut stream, first_byte_timeout, &stop).await {
                drive(watcher.watch(http.serve_connection(TokioIo::new(stream), calls))).await;
            }
        }
    };
    acceptor.accept_until(stop.requested(), connection).await;
    drain(acceptor.close(), graceful, tasks, stop).await;
}

async fn drive(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection failed");
    }
}

fn http2(config: &GrpcConfig, tasks: CallTasks) -> hyper::server::conn::http2::Builder<CallTasks> {
    let mut http = hyper::server::conn::http2::Builder::new(tasks);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams_per_connection)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout);
    http
}

/// Whether the client sends a byte in time; a silent connection would occupy its permit forever.
async fn receives_data(stream: &mut Connection, first_byte_timeout: Duration, stop: &Stop) -> bool {
    tokio::select! {
        has_data = timeout(first_byte_timeout, stream.has_data()) => matches!(has_data, Ok(Ok(true))),
        () = stop.requested() => false,
    }
}

async fn drain(mut connections: Connections, graceful: GracefulShutdown, tasks: CallTasks, stop: &Stop) {
    tasks.0.close();
    tokio::select! {
        () = graceful.shutdown() => {}
        () = idle(&tasks.0) => {}
        () = stop.aborted() => tracing::warn!(calls = tasks.0.len(), "calls in flight were aborted"),
    }
    connections.abort().await;
    if timeout(ABORT_TIMEOUT, tasks.0.wait()).await.is_err() {
        tracing::warn!(calls = tasks.0.len(), "calls are still running after their connections were closed");
    }
}

/// Completes once no call has been in flight for a moment: a connection that is still open is idle, or never sent a
/// complete request.
async fn idle(calls: &TaskTracker) {
    loop {
        calls.wait().await;
        tokio::time::sleep(IDLE_CLOSE_TIMEOUT).await;
        if calls.is_empty() {
            return;
        }
    }
}
