//! Certificates of clients: the four modes of `http.tls.clientauth`, and what each of them proves.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{certificate::Certificate, files::Authorities, signature};

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

/// The verifier for `mode`, with the certificates of `clientcas`.
pub(super) fn verifier(
    mode: ClientAuth,
    authorities: Authorities,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let must_show = matches!(mode, ClientAuth::RequireAndVerify | ClientAuth::RequireAny);
    let is_verified = matches!(mode, ClientAuth::RequireAndVerify | ClientAuth::VerifyIfGiven);
    let hints = authorities.hints();
    let judgement = match (is_verified, authorities.store.is_empty()) {
        (false, _) => Judgement::None,
        (true, true) => Judgement::Verify(authorities.certificates, None),
        (true, false) => {
            let chains = WebPkiClientVerifier::builder_with_provider(
                Arc::new(authorities.store),
                Arc::clone(provider),
            );
            Judgement::Verify(authorities.certificates, Some(chains.build()?))
        }
    };
    Ok(Arc::new(Verifier {
        must_show,
        hints,
        judgement,
        algorithms: provider.signature_verification_algorithms,
    }))
}

/// Decides about the certificate of a client. The signature of the handshake is checked whatever the mode is: a certificate
/// is public, and a client that shows one must at least be the one that it names.
#[derive(Debug)]
struct Verifier {
    must_show: bool,
    hints: Vec<DistinguishedName>,
    judgement: Judgement,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Judgement {
    /// Any certificate will do.
    None,
    /// The certificate stands in `clientcas` itself, or one of the authorities there has signed it. The chains are checked
    /// by the library; `None`: there is no authority.
    Verify(Vec<CertificateDer<'static>>, Option<Arc<dyn ClientCertVerifier>>),
}

impl Verifier {
    fn judge(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let parsed = Certificate::parse(shown).ok_or(CertificateError::BadEncoding)?;
        let Judgement::Verify(listed, chains) = &self.judgement else {
            return Ok(ClientCertVerified::assertion());
        };
        if listed.iter().any(|listed| listed == shown) {
            return usable(&parsed, now);
        }
        let by_chain = match chains {
            Some(chains) => chains.verify_client_cert(shown, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        if let Err(Error::InvalidCertificate(CertificateError::BadSignature)) = by_chain {
            // Signed by another authority that has the name of one of ours.
            return Err(CertificateError::UnknownIssuer.into());
        }
        // The library neither reads certificates of version 1, nor takes an authority for a client. Go takes both, when one
        // of `clientcas` has signed them.
        match by_chain {
            Err(_) if !parsed.is_v3 || parsed.is_authority => {
                if parsed.has_unknown_demands || !self.is_signed_by_one_of(listed, shown, &parsed) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                usable(&parsed, now)
            }
            result => result,
        }
    }

    fn is_signed_by_one_of(
        &self,
        listed: &[CertificateDer<'_>],
        shown: &CertificateDer<'_>,
        parsed: &Certificate<'_>,
    ) -> bool {
        let authorities = listed.iter().filter_map(|listed| Certificate::parse(listed));
        authorities
            .filter(|authority| authority.is_authority && authority.subject == parsed.issuer)
            .any(|authority| signature::is_signed_by(shown, &authority, &self.algorithms))
    }
}

/// Whether a certificate whose issuer is trusted may be used now, and by a client.
fn usable(certificate: &Certificate<'_>, now: UnixTime) -> Result<ClientCertVerified, Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.not_before.as_second() {
        Err(CertificateError::NotValidYet.into())
    } else if now > certificate.not_after.as_second() {
        Err(CertificateError::Expired.into())
    } else if !certificate.is_for_clients {
        Err(CertificateError::InvalidPurpose.into())
    } else {
        Ok(ClientCertVerified::assertion())
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.must_show
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify_tls12(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify_tls13(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
