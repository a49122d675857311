//! Certificates of clients: the four modes of `http.tls.clientauth`, and what each of them proves.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

/// The certificate that a client must show in the handshake (`http.tls.clientauth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// A valid certificate for clients, signed by one of the configured authorities; the handshake proves that the
    /// client holds its key. Every client that connects was admitted by an authority.
    #[default]
    RequireAndVerify,
    /// A client that shows a certificate needs a valid one; a client without one may connect as well. Proves nothing
    /// by itself: another check (a password) must decide about clients without.
    VerifyIfGiven,
    /// Any certificate, of any issuer. Proves only that the client holds its key.
    RequireAny,
    /// A certificate is asked for, and not checked.
    Request,
}

/// The verifier for `mode`, with `authorities` as the issuers that are trusted.
pub(super) fn verifier(
    mode: ClientAuth,
    authorities: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::server::VerifierBuilderError> {
    let must_show = matches!(mode, ClientAuth::RequireAndVerify | ClientAuth::RequireAny);
    if matches!(mode, ClientAuth::Request | ClientAuth::RequireAny) {
        return Ok(Arc::new(Unverified {
            must_show,
            subjects: authorities.subjects(),
            provider: Arc::clone(provider),
        }));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(provider));
    if must_show {
        builder.build()
    } else {
        builder.allow_unauthenticated().build()
    }
}

/// Accepts every certificate whose key the client holds. The signature of the handshake is checked all the same: a
/// certificate is public, and a client that shows one must at least be the one that it names.
#[derive(Debug)]
struct Unverified {
    must_show: bool,
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Unverified {
    fn client_auth_mandatory(&self) -> bool {
        self.must_show
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match super::certificate::Certificate::parse(end_entity) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
