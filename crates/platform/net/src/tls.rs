//! TLS for the servers of a service: one certificate for HTTP and gRPC, which is replaced while they run.
//!
//! [`ServerTls`] is what servers share. A handshake uses the certificate that is current when it starts; connections that
//! are open keep the one that they have. [`CertificateReload`] reads the files again when they change.

mod certificate;
mod config;
mod handshake;
mod metrics;
mod reload;
mod roots;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kennel_core::Clock;
use rustls::ServerConfig;

pub use self::certificate::CertificateError;
use self::certificate::{Files, Loaded};
pub use self::config::{TlsConfig, TlsTuning};
pub(crate) use self::handshake::Refused;
pub use self::metrics::TlsMetrics;
pub use self::reload::CertificateReload;
pub use self::roots::{RootsError, trusted_roots};

/// What the clients of a port speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2, or HTTP/1.1 for clients that do not know it.
    Http,
    /// HTTP/2 only, as gRPC does.
    Http2,
}

/// The TLS of a service's servers. Clones share the certificate.
#[derive(Clone)]
pub struct ServerTls(Arc<TlsState>);

struct TlsState {
    config: TlsConfig,
    clock: Arc<dyn Clock>,
    metrics: TlsMetrics,
    loaded: RwLock<Loaded>,
    /// What is loaded.
    files: Mutex<Files>,
    /// Why the files were refused last, as far as it is reported. They are tried again, since a certificate may become
    /// valid.
    refusal: Mutex<Option<String>>,
}

impl ServerTls {
    /// Reads the certificate that `config` names; `None` if it names none.
    pub fn load(
        config: &TlsConfig,
        clock: Arc<dyn Clock>,
        metrics: TlsMetrics,
    ) -> Result<Option<Self>, CertificateError> {
        let Some(files) = Files::read(config)? else { return Ok(None) };
        let loaded = files.load(clock.now())?;
        metrics.set_expiry(loaded.expires_at);
        Ok(Some(Self(Arc::new(TlsState {
            config: config.clone(),
            clock,
            metrics,
            loaded: RwLock::new(loaded),
            files: Mutex::new(files),
            refusal: Mutex::default(),
        }))))
    }

    /// Reads the files again. Returns whether there is a new certificate. If they are refused, the current one stays, and
    /// they are tried again; each reason is an error once.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let reloaded = self.try_reload();
        self.0.metrics.set_refused(reloaded.is_err());
        let reason = reloaded.as_ref().err().map(|error| format!("{error:?}"));
        let known = std::mem::replace(&mut *self.refusal(), reason.clone());
        if reason.is_some() && reason == known {
            return Ok(false);
        }
        if !matches!(reloaded, Ok(false)) {
            self.0.metrics.reloaded(reloaded.is_ok());
        }
        reloaded
    }

    fn try_reload(&self) -> Result<bool, CertificateError> {
        let Some(files) = Files::read(&self.0.config)? else { return Ok(false) };
        if *self.files() == files {
            return Ok(false);
        }
        let loaded = files.load(self.0.clock.now())?;
        self.0.metrics.set_expiry(loaded.expires_at);
        *self.0.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        *self.files() = files;
        Ok(true)
    }

    /// Reports the reason of a refusal again, for an operator who asks.
    pub(crate) fn forget_refusal(&self) {
        *self.refusal() = None;
    }

    fn refusal(&self) -> MutexGuard<'_, Option<String>> {
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self, protocols: Protocols) -> Arc<ServerConfig> {
        let loaded = self.0.loaded.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(match protocols {
            Protocols::Http => &loaded.http,
            Protocols::Http2 => &loaded.http2,
        })
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("config", &self.0.config).finish_non_exhaustive()
    }
}
