//! Load over HTTP/2 by h2load of nghttp2, the same for every server. It costs less of the machine than a gRPC client.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Whether the program is installed.
pub(crate) fn is_installed() -> bool {
    Command::new("h2load").arg("--version").output().is_ok()
}

/// Successful calls of a gRPC method per second, by clients that make one call at a time. `body` is a file with the framed
/// message.
pub(crate) fn calls(
    server: SocketAddr,
    method: &str,
    body: &Path,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    let (clients, seconds) = (clients.to_string(), duration.as_secs().max(1).to_string());
    let output = Command::new("h2load")
        .args(["-t", "1", "-m", "1", "-c", &clients, "-D", &seconds])
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"])
        .arg(body)
        .arg(format!("http://{server}{method}"))
        .output()
        .context("cannot start h2load")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "h2load: {}", String::from_utf8_lossy(&output.stderr));
    // "requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout"
    let done = text.lines().find(|line| line.starts_with("requests: ")).context("h2load prints no result")?;
    ensure!(done.contains(" 0 failed, 0 errored, 0 timeout"), "h2load: {done}");
    let rate = text.lines().find_map(|line| line.strip_prefix("finished in ")?.split(", ").nth(1)?.split(' ').next());
    rate.and_then(|rate| rate.parse().ok()).with_context(|| format!("h2load prints no rate:\n{text}"))
}
