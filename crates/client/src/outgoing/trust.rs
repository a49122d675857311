//! Which servers outgoing TLS connections trust.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{self, CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::time::ASN1Time;

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
        let trusted = match self {
            Self::System => None,
            Self::SystemAnd(authorities) => Some(Trusted::new(authorities, Arc::clone(&provider))?),
            Self::Anything => return Ok(None),
        };
        let verifier = Verifier {
            provider: Arc::clone(&provider),
            trusted,
        };
        let failed = |error: rustls::Error| TrustError::Tls(error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
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
    trusted_by_system().map(drop)
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

fn trusted_by_system() -> Result<&'static Trusted, TrustError> {
    static SYSTEM: OnceLock<Result<Trusted, TrustError>> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| Trusted::new(Vec::new(), Arc::new(aws_lc_rs::default_provider())));
    system.as_ref().map_err(Clone::clone)
}

/// Checks certificates as clients in Go do: by the chain to a trusted authority, or because the certificate of the server is
/// itself one that is trusted. `openssl req -x509` makes certificates that are both an authority and a server's, which
/// webpki refuses.
#[derive(Debug)]
struct Trusted {
    by_chain: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Trusts the authorities of the system and `more`.
    fn new(more: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let mut certificates = more;
        for authority in &certificates {
            roots
                .add(authority.clone())
                .map_err(|error| TrustError::Tls(error.to_string()))?;
        }
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "cannot read certificate authorities");
        }
        roots.add_parsable_certificates(found.certs.iter().cloned());
        if roots.is_empty() {
            return Err(TrustError::NoAuthorities);
        }
        certificates.extend(found.certs);
        let by_chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| TrustError::Tls(error.to_string()))?;
        Ok(Self {
            by_chain,
            certificates,
        })
    }

    fn verify(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let by_chain = self
            .by_chain
            .verify_server_cert(shown, intermediates, name, ocsp_response, now);
        match by_chain {
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) if is_authority(shown) => {
                self.verify_authority(shown, name, now)
            }
            other => other,
        }
    }

    /// Checks a certificate that the chain says nothing about, because it is an authority's: name, time and purpose, if it is
    /// trusted itself.
    fn verify_authority(
        &self,
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.certificates.contains(shown) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(shown)
            .map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
        let time = |time: ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
            UnixTime::since_unix_epoch(Duration::from_secs(seconds))
        };
        let (not_before, not_after) = (time(parsed.validity.not_before), time(parsed.validity.not_after));
        if now < not_before {
            return Err(CertificateError::NotValidYetContext {
                time: now,
                not_before,
            }
            .into());
        }
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        let is_for_servers = match parsed.extended_key_usage() {
            Ok(Some(usage)) => usage.value.any || usage.value.server_auth,
            Ok(None) => true,
            Err(_) => false,
        };
        if !is_for_servers {
            return Err(CertificateError::InvalidPurpose.into());
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// Whether a certificate is one of an authority, as far as it can be read.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return false;
    };
    let constraints = parsed.basic_constraints();
    constraints.is_ok_and(|found| found.is_some_and(|found| found.value.ca))
}

/// Checks what a server shows in the handshake.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: what the system trusts, which is read when the first certificate comes
    trusted: Option<Trusted>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let trusted = match &self.trusted {
            Some(trusted) => trusted,
            None => trusted_by_system().map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))?,
        };
        trusted.verify(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
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

    /// What `openssl req -x509` makes: a certificate of a server that is an authority too.
    fn both(names: &[&str], adjust: impl Fn(&mut rcgen::CertificateParams)) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        adjust(&mut parameters);
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().clone()
    }

    fn verify(
        trusted: &CertificateDer<'static>,
        shown: &CertificateDer<'_>,
        name: &str,
    ) -> Result<(), rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trusted = Trusted::new(vec![trusted.clone()], provider).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verified = trusted.verify(shown, &[], &name, &[], UnixTime::now());
        verified.map(drop)
    }

    #[test]
    fn a_trusted_certificate_of_a_server_may_be_an_authority_too() {
        let own = both(&["registry.example", "127.0.0.1"], |_| {});
        assert_eq!(verify(&own, &own, "registry.example"), Ok(()));
        assert_eq!(verify(&own, &own, "127.0.0.1"), Ok(()));
        let another = verify(&own, &own, "other.example").unwrap_err();
        assert!(
            matches!(
                another,
                rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                )
            ),
            "{another:?}"
        );
        let stranger = both(&["registry.example"], |_| {});
        assert!(
            verify(&own, &stranger, "registry.example").is_err(),
            "not the one that is trusted"
        );
    }

    #[test]
    fn a_trusted_certificate_is_refused_outside_its_time_and_purpose() {
        let refused = |adjust: &dyn Fn(&mut rcgen::CertificateParams)| {
            let own = both(&["registry.example"], adjust);
            verify(&own, &own, "registry.example").unwrap_err()
        };
        let past = refused(&|parameters| parameters.not_after = rcgen::date_time_ymd(2001, 1, 1));
        assert!(
            matches!(
                past,
                rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
            ),
            "{past:?}"
        );
        let future = refused(&|parameters| parameters.not_before = rcgen::date_time_ymd(4000, 1, 1));
        assert!(
            matches!(
                future,
                rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })
            ),
            "{future:?}"
        );
        let mail = rcgen::ExtendedKeyUsagePurpose::EmailProtection;
        let purpose = refused(&|parameters| parameters.extended_key_usages = vec![mail.clone()]);
        assert_eq!(purpose, CertificateError::InvalidPurpose.into());
    }
}
