//! Whose certificates are trusted.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// Why CA certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The file is not PEM, or has no certificate.
    #[error("there is no CA certificate in PEM")]
    Pem(#[source] pem::Error),
    /// A certificate of the file cannot be parsed.
    #[error("a CA certificate cannot be used")]
    Unusable(#[source] rustls::Error),
    /// No file is named, and the system has no certificates.
    #[error("the system has no CA certificates")]
    NoneOfSystem,
}

/// The authorities that a client trusts: those of the file `ca`, or without one those of the system. At least one. Reads
/// files, so call it at the start.
pub fn trusted_roots(ca: Option<&Path>) -> Result<RootCertStore, RootsError> {
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|source| RootsError::Read { file: file.to_owned(), source })?;
        return roots_in(&pem);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(RootsError::NoneOfSystem) } else { Ok(roots) }
}

pub(super) fn roots_in(pem: &[u8]) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(RootsError::Pem)?).map_err(RootsError::Unusable)?;
    }
    if roots.is_empty() { Err(RootsError::Pem(pem::Error::NoItemsFound)) } else { Ok(roots) }
}
