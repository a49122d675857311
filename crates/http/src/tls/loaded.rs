//! What the files of `http.tls` mean to a handshake, and how they are watched.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::CertificateDer,
    server::NoServerSessionStorage,
    sign::SingleCertAndKey,
    version,
};
use wharf_watched::{Contents, Damage, Read, read_whole};

use super::{
    TlsOptions, client,
    error::TlsError,
    files::{self, PemFile},
    suites::CipherSuite,
};

/// The most bytes that one of the files may have: some 2,000 certificates.
const SIZE_LIMIT: u64 = 4 << 20;

/// The content of the files.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) certificates: Certificates,
    /// Time until which clients accept the server's own certificate
    pub(super) not_after: Timestamp,
}

/// The certificates in the files, by purpose: one that has moved from one to the other is a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificates {
    /// The chain that the server shows; the key belongs to the first of them
    pub(super) own: Vec<CertificateDer<'static>>,
    /// Those of `clientcas`
    pub(super) of_clients: Vec<CertificateDer<'static>>,
}

/// Reads the files of these options.
#[derive(Debug)]
pub(super) struct Reader(pub(super) TlsOptions);

impl Loaded {
    /// Reads the files once. The findings are the reasons why clients would refuse the certificate.
    ///
    /// # Errors
    ///
    /// When the files cannot be read, are damaged, or do not fit together.
    pub(super) fn read(options: &TlsOptions) -> Result<Read<Self>, TlsError> {
        let files = options.files().map(|(key, path)| {
            read_whole(path, SIZE_LIMIT).map_err(|error| TlsError::unreadable(key, path, &error))
        });
        let files: Vec<Contents> = files.collect::<Result<_, _>>()?;
        let contents: Vec<&[u8]> = files.iter().map(|file| &*file.bytes).collect();
        Self::new(options, &contents)
    }

    /// Makes it of the contents of [`TlsOptions::files`].
    fn new(options: &TlsOptions, contents: &[&[u8]]) -> Result<Read<Self>, TlsError> {
        let files = options.files().zip(contents);
        let files = files.map(|((key, path), bytes)| PemFile { key, path, bytes });
        let files: Vec<PemFile<'_>> = files.collect();
        let [certificate, key, authorities @ ..] = &*files else {
            return Err(TlsError::new(
                "`http.tls` needs a certificate and a key".to_owned(),
            ));
        };
        let provider = Arc::new(provider(&options.cipher_suites));
        let identity = files::identity(certificate, key, &provider)?;
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
        let asks_clients = !authorities.is_empty();
        let builder = if asks_clients {
            let authorities = files::authorities(authorities, &provider)?;
            certificates.of_clients.clone_from(&authorities.certificates);
            let verifier = client::verifier(options.client_auth, authorities, &provider)
                .map_err(|error| cannot(&error))?;
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
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // The state of a session stays with its client: nothing grows here. The key changes every six hours.
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| cannot(&error))?;
        }
        Ok(Read {
            value: Self {
                config: Arc::new(config),
                certificates,
                not_after: identity.not_after,
            },
            findings: identity.warnings,
        })
    }
}

/// Shows no keys.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

impl wharf_watched::Reader for Reader {
    type Value = Loaded;

    const NAME: &'static str = "files of `http.tls`";
    const SIZE_LIMIT: u64 = SIZE_LIMIT;
    /// A certificate and its key are two files.
    const GRACE: Duration = Duration::from_secs(1);

    fn read(&self, contents: &[&[u8]], old: &Loaded) -> Result<Option<Read<Loaded>>, Damage> {
        let read = Loaded::new(&self.0, contents)?;
        // The old configuration goes on resuming its sessions.
        let is_change = read.value.certificates != old.certificates;
        Ok(is_change.then_some(read))
    }

    fn unreadable(&self, file: usize, error: &io::Error) -> Damage {
        let (key, path) = self.0.files().nth(file).unwrap_or(("http.tls", Path::new("")));
        TlsError::unreadable(key, path, error).into()
    }

    fn last_good(_: &Loaded) -> String {
        "the last good certificate".to_owned()
    }

    fn announce(&self, loaded: &Loaded, _paths: &str) {
        tracing::info!(
            certificate = %self.0.certificate.display(),
            valid_until = %loaded.not_after,
            "the certificates have changed; new connections go by the new ones"
        );
    }

    fn warn(&self, finding: &str, _paths: &str) {
        tracing::warn!("{finding}");
    }
}

impl From<TlsError> for Damage {
    fn from(TlsError(text): TlsError) -> Self {
        Self { file: None, text }
    }
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
