//! `healthcheck`: checks readiness from inside containers, which have no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use kennel_client::{Client, ClientConfig, ClientMetrics};
use kennel_http::SysConfig;
use kennel_telemetry::metrics;
use url::Url;

use crate::output::print_line;

/// The maximum size of a response.
const MAX_BYTES: u64 = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `url`, by default `/ready` at the configured metrics port, and prints the result.
pub(crate) async fn run(sys: &SysConfig, url: Option<String>) -> anyhow::Result<ExitCode> {
    let url = match url {
        Some(url) => Url::parse(&url).context("--url")?,
        None => Url::parse(&format!("http://{}/ready", reachable(sys.http().addr())))?,
    };
    let config = ClientConfig {
        allow_private: true,
        timeout: TIMEOUT,
        deadline: TIMEOUT,
        max_retries: 0,
        ..ClientConfig::default()
    };
    let client = Client::new("healthcheck", &config, &ClientMetrics::register(&metrics::registry())?)?;
    match client.download(&url, MAX_BYTES).await {
        Ok(_) => {
            print_line("ready")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let shown = without_credentials(url);
            eprintln!("not ready: {shown}: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The URL without a user and a password. URLs that cannot have them are unchanged.
fn without_credentials(mut url: Url) -> Url {
    url.set_username("").and_then(|()| url.set_password(None)).ok();
    url
}

/// The address at which a listener on `addr` is reachable from this machine.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_checked_on_loopback() {
        for (listens, checked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.7:1", "10.0.0.7:1"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), checked);
        }
    }
}
