//! Follows the files of the certificate.

use async_trait::async_trait;
use kennel_app::{Component, Phase, Stop};
use kennel_core::BoxError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::ServerTls;

/// Replaces the certificate when its files have changed, and at once at SIGHUP.
#[derive(Debug)]
pub struct CertificateReload(ServerTls);

impl CertificateReload {
    /// Follows the files of `tls`.
    pub const fn new(tls: ServerTls) -> Self {
        Self(tls)
    }
}

#[async_trait]
impl Component for CertificateReload {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn phase(&self) -> Phase {
        Phase::Driver
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let (mut hangup, interval) = (signal(SignalKind::hangup())?, self.0.0.config.tuning.reload_interval);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = hangup.recv() => self.0.forget_refusal(),
                () = sleep(interval) => {}
            }
            let tls = self.0.clone();
            match tokio::task::spawn_blocking(move || tls.reload()).await? {
                Ok(true) => tracing::info!("the certificate was replaced"),
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the new certificate is refused, the current one stays");
                }
            }
        }
    }
}
