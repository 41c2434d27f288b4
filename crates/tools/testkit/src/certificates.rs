//! Certificates of a test: a certificate authority, and what it issues.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// A certificate authority with a folder for the files of one server.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet. Its certificate is in [`Authority::ca_file`].
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("there are no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be generated");
        let certificate = params.self_signed(&key).expect("the parameters are valid");
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("the folder is writable");
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// Issues a certificate for `localhost` and `127.0.0.1` that expires at the end of `year`.
    ///
    /// # Panics
    /// If there is no such year.
    pub fn issue(&self, year: i32) -> Issued {
        self.issue_between(2020, year)
    }

    /// Issues one that is valid from the beginning of the year `from` to the end of the year `until`.
    ///
    /// # Panics
    /// If there is no such year.
    pub fn issue_between(&self, from: i32, until: i32) -> Issued {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("the names are valid");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 12, 31));
        let key = KeyPair::generate().expect("a key can be generated");
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes the files of the server: [`Authority::certificate_file`] and [`Authority::key_file`].
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn install(&self, issued: &Issued) {
        std::fs::write(self.certificate_file(), &issued.certificate).expect("the folder is writable");
        std::fs::write(self.key_file(), &issued.key).expect("the folder is writable");
    }

    /// The file with the certificate of the authority.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The file with the certificate of the server.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The file with the key of the server.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
