//! TLS: the server's certificate, certificates of clients, and the renewal of both while the server runs.
//!
//! The files are [watched](wharf_watched): a renewed certificate is in force for the next connection, and nothing has to be
//! restarted or signalled. Connections that come while the files are being read go by the last good state. A certificate and
//! its key are two files that cannot be replaced at once; only a pair that fits is used, and until then the last good one stays.

mod certificate;
mod client;
mod der;
mod described;
mod error;
mod files;
mod inspected;
mod loaded;
mod refused;
mod signature;
mod suites;

pub use client::ClientAuth;
pub use described::{CertificateRole, DescribedCertificate};
pub use error::TlsError;
pub use inspected::InspectedCertificate;
pub use suites::{CipherSuite, CipherSuiteError};

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rustls::ServerConfig;
use wharf_watched::{Status, Watched};

use self::{
    loaded::{Loaded, Reader},
    refused::Refusals,
};

/// Longest time that a handshake waits for its look at the files.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// How many certificates are described.
const DESCRIBED: usize = 100;

/// The options of `http.tls`.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsOptions {
    /// Path of a PEM file: the server's own certificate, then the intermediate ones up to a root.
    pub certificate: PathBuf,
    /// Path of a PEM file: the private key, as PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// Paths of PEM files: the authorities that sign certificates of clients; empty: clients are not asked for one.
    pub client_authorities: Vec<PathBuf>,
    /// Certificate that a client must show, if there are authorities.
    pub client_auth: ClientAuth,
    /// Whether TLS 1.2 is refused.
    pub tls13_only: bool,
    /// The cipher suites of TLS 1.2 that are offered; empty: all supported ones. Those of TLS 1.3 always are.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether HTTP/2 is offered (ALPN).
    pub http2: bool,
}

/// The server side of TLS, always with the newest usable files. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Watched<Reader>,
    refusals: Refusals,
}

impl TlsOptions {
    /// The files by their keys in the configuration: certificate and key first.
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let pair = [
            ("http.tls.certificate", &*self.certificate),
            ("http.tls.key", &*self.key),
        ];
        let authorities = self.client_authorities.iter();
        pair.into_iter()
            .chain(authorities.map(|path| ("http.tls.clientcas", &**path)))
    }
}

impl Tls {
    /// Reads the files, and logs a warning for each reason why clients would refuse them.
    ///
    /// # Errors
    /// When the files cannot be read, are damaged, or do not fit together.
    pub fn open(options: TlsOptions) -> Result<Self, TlsError> {
        let loaded = Loaded::read(&options)?;
        for warning in &loaded.findings {
            tracing::warn!("{warning}");
        }
        let paths = options.files().map(|(_, path)| path.to_owned()).collect();
        Ok(Self(Arc::new(Shared {
            files: Watched::open(Reader(options), paths, loaded),
            refusals: Refusals::default(),
        })))
    }

    /// Reads the files as [`open`](Self::open) does, without using them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn inspect(options: &TlsOptions) -> Result<InspectedCertificate, TlsError> {
        let loaded = Loaded::read(options)?;
        Ok(InspectedCertificate::new(
            loaded.value.certificates.own,
            loaded.findings,
            loaded.value.not_after,
        ))
    }

    /// The state of the files, as the last handshake found them.
    pub fn status(&self) -> Status {
        self.0.files.status()
    }

    /// Path of the file with the certificate of the server.
    pub fn path(&self) -> &Path {
        self.0.files.path()
    }

    /// When the certificate in force ends.
    pub async fn ends(&self) -> Timestamp {
        self.0.files.refresh_within(LOOK_PATIENCE).await.not_after
    }

    /// The certificates in force: that of the server first, then those that lead to an authority, then those that sign certificates of
    /// clients.
    pub async fn certificates(&self) -> Vec<DescribedCertificate> {
        let loaded = self.0.files.refresh_within(LOOK_PATIENCE).await;
        let certificates = &loaded.certificates;
        let own = certificates
            .own
            .iter()
            .enumerate()
            .map(|(place, der)| (der, CertificateRole::at(place)));
        let of_clients = certificates
            .of_clients
            .iter()
            .map(|der| (der, CertificateRole::OfClients));
        let all = own.chain(of_clients).take(DESCRIBED);
        all.filter_map(|(der, role)| DescribedCertificate::of(der, role))
            .collect()
    }

    /// The last certificate of the server's own that can be read: that of the authority, if the file has it.
    pub async fn last_own(&self) -> Option<DescribedCertificate> {
        let loaded = self.0.files.refresh_within(LOOK_PATIENCE).await;
        let own = loaded.certificates.own.iter().take(DESCRIBED).enumerate();
        let own: Vec<_> = own.collect();
        own.into_iter()
            .rev()
            .find_map(|(place, der)| DescribedCertificate::of(der, CertificateRole::at(place)))
    }

    /// Configuration for the next handshake.
    pub(crate) async fn current(&self) -> Arc<ServerConfig> {
        // The files may lie on a disk that takes its time.
        let loaded = self.0.files.refresh_within(LOOK_PATIENCE).await;
        Arc::clone(&loaded.config)
    }

    /// Logs that a handshake with `client` failed.
    pub(crate) fn failed(&self, client: Option<SocketAddr>, error: &io::Error) {
        self.0.refusals.failed(client, error);
    }

    /// Logs that `client` sent a request without TLS.
    pub(crate) fn got_plain_text(&self, client: Option<SocketAddr>) {
        self.0.refusals.got_plain_text(client);
    }
}

/// Shows no keys.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files.path()).finish()
    }
}

#[cfg(test)]
mod tests;
