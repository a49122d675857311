//! TLS: the server's certificate, certificates of clients, and the renewal of both while the server runs.
//!
//! The files are checked when a handshake begins, at most a few times a second, so a renewed certificate is in
//! force with the next connection and nothing has to be restarted or signalled. A certificate and its key are two
//! files that cannot be replaced at once; only a pair that fits is used, and until then the last good one stays.

mod certificate;
mod client;
mod der;
mod error;
mod files;
mod inspected;
mod refused;
mod signature;
mod suites;

pub use client::ClientAuth;
pub use error::TlsError;
pub use inspected::InspectedCertificate;
pub use suites::{CipherSuite, CipherSuiteError};

use std::{
    fmt, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, TryLockError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::CertificateDer,
    sign::SingleCertAndKey,
    version,
};
use tokio::time;

use self::refused::Refusals;

/// Least time between two checks of the files, in milliseconds.
const LOOK_INTERVAL: u64 = 250;

/// Longest time that a handshake waits for the check that it began.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// Time for which files may not fit together before that is an error: they may be being replaced.
const GRACE: Duration = Duration::from_secs(1);

/// Age below which a file may change again within the resolution of its time stamp.
const UNSETTLED: Duration = Duration::from_secs(2);

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
    options: TlsOptions,
    opened: Instant,
    /// Milliseconds from `opened` to the last check of the files.
    looked: AtomicU64,
    current: RwLock<Arc<ServerConfig>>,
    files: Mutex<Files>,
    refusals: Refusals,
}

/// State of the files at the last check.
#[derive(Debug)]
struct Files {
    /// Stamps of the files that `current` was made of; `None`: read them again in any case.
    stamps: Option<Vec<Stamp>>,
    /// Certificates in the files.
    certificates: Certificates,
    /// Time since which the files cannot be used, and the error that was logged about it.
    failing: Option<(Instant, Option<String>)>,
}

/// Metadata that changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The certificates in the files, by purpose: one that has moved from one to the other is a change.
#[derive(Debug, PartialEq, Eq)]
struct Certificates {
    /// The chain that the server shows; the key belongs to the first of them.
    own: Vec<CertificateDer<'static>>,
    /// Those of `clientcas`.
    of_clients: Vec<CertificateDer<'static>>,
}

/// The content of the files.
struct Loaded {
    config: ServerConfig,
    certificates: Certificates,
    warnings: Vec<String>,
    not_after: Timestamp,
}

impl Tls {
    /// Reads the files, and logs a warning for each reason why clients would refuse them.
    ///
    /// # Errors
    /// When the files cannot be read, are damaged, or do not fit together.
    pub fn open(options: TlsOptions) -> Result<Self, TlsError> {
        let stamps = settled_stamps(&options);
        let loaded = load(&options)?;
        loaded.warn();
        Ok(Self(Arc::new(Shared {
            options,
            opened: Instant::now(),
            looked: AtomicU64::new(0),
            current: RwLock::new(Arc::new(loaded.config)),
            files: Mutex::new(Files {
                stamps,
                certificates: loaded.certificates,
                failing: None,
            }),
            refusals: Refusals::default(),
        })))
    }

    /// Reads the files as [`open`](Self::open) does, without using them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn inspect(options: &TlsOptions) -> Result<InspectedCertificate, TlsError> {
        let loaded = load(options)?;
        Ok(InspectedCertificate::new(
            loaded.certificates.own,
            loaded.warnings,
            loaded.not_after,
        ))
    }

    /// Configuration for the next handshake.
    pub(crate) async fn current(&self) -> Arc<ServerConfig> {
        if self.is_due() {
            let shared = Arc::clone(&self.0);
            // The files may lie on a disk that takes its time. Other handshakes go on meanwhile, and this one does when
            // it takes too long.
            let look = tokio::task::spawn_blocking(move || shared.look());
            if let Ok(Err(error)) = time::timeout(LOOK_PATIENCE, look).await {
                tracing::error!(%error, "cannot look for a new certificate");
            }
        }
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Logs that a handshake with `client` failed.
    pub(crate) fn failed(&self, client: Option<SocketAddr>, error: &io::Error) {
        self.0.refusals.failed(client, error);
    }

    /// Logs that `client` sent a request without TLS.
    pub(crate) fn got_plain_text(&self, client: Option<SocketAddr>) {
        self.0.refusals.got_plain_text(client);
    }

    /// Whether the files are to be checked again; true for one caller only.
    fn is_due(&self) -> bool {
        let Shared { opened, looked, .. } = &*self.0;
        let now = u64::try_from(opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = looked.load(Relaxed);
        now.saturating_sub(last) >= LOOK_INTERVAL
            && looked.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
    }
}

impl Shared {
    /// Checks the files, and uses new content if it is usable.
    fn look(&self) {
        let mut files = match self.files.try_lock() {
            Ok(files) => files,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The last check still waits for its disk: one thread is enough for that.
            Err(TryLockError::WouldBlock) => return,
        };
        // Before reading: a change meanwhile is found by the next check.
        let stamps = settled_stamps(&self.options);
        if stamps.is_some() && stamps == files.stamps && files.failing.is_none() {
            return;
        }
        match load(&self.options) {
            Ok(loaded) => {
                if files.certificates != loaded.certificates {
                    self.replace(&mut files, loaded);
                } else if let Some((_, Some(_))) = files.failing {
                    tracing::info!("the files of `http.tls` can be used again");
                }
                (files.stamps, files.failing) = (stamps, None);
            }
            Err(error) => files.note(&error),
        }
    }

    fn replace(&self, files: &mut Files, loaded: Loaded) {
        loaded.warn();
        tracing::info!(
            certificate = %self.options.certificate.display(),
            valid_until = %loaded.not_after,
            "the certificates have changed; new connections go by the new ones"
        );
        files.certificates = loaded.certificates;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.config);
    }
}

impl Files {
    /// Logs each error of the files once, when it lasts.
    fn note(&mut self, error: &TlsError) {
        let (since, said) = self.failing.get_or_insert_with(|| (Instant::now(), None));
        if since.elapsed() < GRACE || said.as_ref() == Some(&error.0) {
            return;
        }
        tracing::error!("{error}; the last good certificate stays in force");
        *said = Some(error.0.clone());
    }
}

impl Loaded {
    fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

/// Shows no keys.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.options).finish()
    }
}

/// The stamps of all files; `None` when one is missing, or so new that it may change again without a new stamp.
fn settled_stamps(options: &TlsOptions) -> Option<Vec<Stamp>> {
    let files = [&options.certificate, &options.key];
    let files = files.into_iter().chain(&options.client_authorities);
    files.map(|path| settled_stamp(path)).collect()
}

fn settled_stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let age = SystemTime::now().duration_since(metadata.modified().ok()?);
    // A time in the future says nothing about how new the file is.
    if age.is_ok_and(|age| age < UNSETTLED) {
        return None;
    }
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn load(options: &TlsOptions) -> Result<Loaded, TlsError> {
    let provider = Arc::new(provider(&options.cipher_suites));
    let identity = files::identity(&options.certificate, &options.key, &provider)?;
    let versions: &[_] = if options.tls13_only || !offers_tls12(&provider) {
        &[&version::TLS13]
    } else {
        &[&version::TLS13, &version::TLS12]
    };
    let cannot = |error: &dyn fmt::Display| TlsError::new(format!("`http.tls` cannot be used: {error}"));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| cannot(&error))?;
    let mut certificates = Certificates {
        own: identity.key.cert.clone(),
        of_clients: Vec::new(),
    };
    let asks_clients = !options.client_authorities.is_empty();
    let builder = if asks_clients {
        let authorities = files::authorities(&options.client_authorities, &provider)?;
        certificates.of_clients.clone_from(&authorities.certificates);
        let verifier =
            client::verifier(options.client_auth, authorities, &provider).map_err(|error| cannot(&error))?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key)));
    config.alpn_protocols = match options.http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    if asks_clients {
        // A resumed session would not show its certificate again: it would outlive its expiry, and the authority.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        // The state of a session stays with its client: nothing grows here. The key changes every six hours.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| cannot(&error))?;
    }
    Ok(Loaded {
        config,
        certificates,
        warnings: identity.warnings,
        not_after: identity.not_after,
    })
}

/// The provider aws-lc, with the configured suites of TLS 1.2.
fn provider(wanted: &[CipherSuite]) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !wanted.is_empty() {
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || wanted.contains(&CipherSuite(*suite)));
    }
    provider
}

fn offers_tls12(provider: &CryptoProvider) -> bool {
    provider.cipher_suites.iter().any(|suite| suite.tls13().is_none())
}
