//! Reads certificates and keys, and refuses those that clients would.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kennel_core::{BoxError, Timestamp};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::error::X509Error;

use super::TlsConfig;
use super::roots::roots_in;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// A file is not PEM, or has no item of the expected kind.
    #[error("there is no {expected} in PEM")]
    Pem {
        /// What the file should contain.
        expected: &'static str,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// The certificate cannot be parsed.
    #[error("the certificate cannot be parsed")]
    Parse(#[source] X509Error),
    /// The certificate has expired.
    #[error("the certificate has expired")]
    Expired,
    /// The certificate is not valid yet.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The key does not belong to the certificate, or is not supported.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
    /// The CA certificates cannot verify clients.
    #[error("the CA certificates of clients cannot be used")]
    ClientCa(#[source] BoxError),
}

/// The bytes of the files; they have a private key, so that this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A certificate that servers can use.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) http: Arc<ServerConfig>,
    pub(super) http2: Arc<ServerConfig>,
    /// In seconds since 1970.
    pub(super) expires_at: i64,
}

impl Files {
    /// `None` without a certificate.
    pub(super) fn read(config: &TlsConfig) -> Result<Option<Self>, CertificateError> {
        let (Some(certificate), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        Ok(Some(Self {
            certificate: read(certificate)?,
            key: read(key)?,
            client_ca: config.tls_client_ca.as_deref().map(read).transpose()?,
        }))
    }

    pub(super) fn load(&self, now: Timestamp) -> Result<Loaded, CertificateError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| CertificateError::Pem { expected: "private key", source })?;
        let expires_at = expiry(&chain, now)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = roots_in(ca).map_err(|error| CertificateError::ClientCa(error.into()))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| CertificateError::ClientCa(error.into()))?)
            }
        };
        // Fails if the key is not that of the certificate.
        let config = builder.with_single_cert(chain, key)?;
        let with = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Loaded { http: with(&[b"h2", b"http/1.1"]), http2: with(&[b"h2"]), expires_at })
    }
}

fn read(file: impl AsRef<Path>) -> Result<Vec<u8>, CertificateError> {
    let file = file.as_ref();
    std::fs::read(file).map_err(|source| CertificateError::Read { file: file.to_owned(), source })
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let invalid = |source| CertificateError::Pem { expected: "certificate", source };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(invalid)?;
    if found.is_empty() { Err(invalid(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// When the certificate of the server expires, in seconds since 1970.
fn expiry(chain: &[CertificateDer<'_>], now: Timestamp) -> Result<i64, CertificateError> {
    let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, own) = x509_parser::parse_x509_certificate(own).map_err(|error| match error {
        x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => CertificateError::Parse(error),
        x509_parser::nom::Err::Incomplete(_) => CertificateError::Parse(X509Error::InvalidCertificate),
    })?;
    let (from, until) = (own.validity().not_before.timestamp(), own.validity().not_after.timestamp());
    let now = now.as_millis().div_euclid(1_000);
    if now > until {
        return Err(CertificateError::Expired);
    }
    if now < from {
        return Err(CertificateError::NotYetValid);
    }
    Ok(until)
}
