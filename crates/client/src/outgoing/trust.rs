//! Which servers outgoing TLS connections trust.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};

/// Which servers are trusted over TLS.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Servers with a certificate of an authority that this machine trusts, or that `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name, as registry:2 does: servers inside a company have certificates of its own authority.
    #[default]
    System,
    /// These servers, and servers with a certificate of one of these authorities.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// Any server, whatever certificate it shows.
    Anything,
}

/// A certificate by which a server knows this client, with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pem: Vec<u8>,
}

/// No certificate of a server can be checked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrustError {
    /// This machine trusts no authority.
    #[error(
        "no certificate authorities are installed, so `https` cannot be checked; install `ca-certificates`, or set `SSL_CERT_FILE`"
    )]
    NoAuthorities,
    /// The TLS library refuses to work, or refuses the authorities, for this reason.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
}

impl Trust {
    /// The configuration of the TLS library. `None`: no certificate is checked.
    pub(super) fn client_config(
        self,
        alpn: Vec<Vec<u8>>,
        identity: Option<&Identity>,
    ) -> Result<Option<ClientConfig>, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::System => Arc::new(SystemVerifier(Arc::clone(&provider))),
            Self::SystemAnd(authorities) => verifier(authorities, Arc::clone(&provider))?,
            Self::Anything => return Ok(None),
        };
        let failed = |error: rustls::Error| TrustError::Tls(error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            Some(Identity { chain, key, .. }) => config
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(failed)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = alpn;
        Ok(Some(config))
    }
}

impl Identity {
    /// The certificate and those that lead to its authority, its key, and both as PEM.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        pem: Vec<u8>,
    ) -> Self {
        Self { chain, key, pem }
    }

    pub(super) fn pem(&self) -> &[u8] {
        &self.pem
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Reads the authorities of the system now. Otherwise they are read when the first certificate has to be checked,
/// which then takes a few milliseconds longer.
///
/// # Errors
/// When no authority is installed.
pub fn load_system_authorities() -> Result<(), TrustError> {
    system_verifier().map(drop)
}

/// The message of the TLS library about a failed request.
pub(super) fn tls_error(error: &(dyn Error + 'static)) -> Option<String> {
    tls_cause(error).map(tls_text)
}

/// The error of the TLS library behind a failed request.
pub(super) fn tls_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match innermost(error).downcast_ref() {
            Some(tls) => return Some(tls),
            None => cause = error.source(),
        }
    }
    None
}

/// An error of the TLS library in words; ours speak for themselves.
pub(crate) fn tls_text(error: &rustls::Error) -> String {
    match error {
        rustls::Error::Other(OtherError(ours)) => ours.to_string(),
        tls => tls.to_string(),
    }
}

/// What an I/O error wraps, however often: its `source` leaves that out.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map_or(error, |wrapped| innermost(wrapped))
}

fn system_verifier() -> Result<&'static WebPkiServerVerifier, TrustError> {
    static SYSTEM: OnceLock<Result<Arc<WebPkiServerVerifier>, TrustError>> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| verifier(Vec::new(), Arc::new(aws_lc_rs::default_provider())));
    match system {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(error.clone()),
    }
}

/// Trusts the authorities of the system and `more`.
fn verifier(
    more: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let mut roots = RootCertStore::empty();
    for authority in more {
        roots
            .add(authority)
            .map_err(|error| TrustError::Tls(error.to_string()))?;
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read certificate authorities");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TrustError::NoAuthorities);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TrustError::Tls(error.to_string()))
}

/// Checks certificates with the authorities of the system, and reads these when the first certificate comes.
#[derive(Debug)]
struct SystemVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for SystemVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let system = system_verifier().map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))?;
        system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_found_below_other_errors() {
        let ours = rustls::Error::Other(OtherError(Arc::new(TrustError::NoAuthorities)));
        let wrapped = io::Error::other(io::Error::other(ours));
        let text = tls_error(&wrapped).unwrap();
        assert!(
            text.starts_with("no certificate authorities are installed"),
            "{text}"
        );
        let tls = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(tls_error(&tls).unwrap(), rustls::Error::DecryptError.to_string());
        assert_eq!(tls_error(&io::Error::other("another")), None);
    }
}
