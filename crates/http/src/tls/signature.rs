//! Signatures of certificates that the TLS library does not read: X.509 v1, which `openssl x509 -req` writes, and
//! authorities that are used as certificates of clients. registry:2 takes both.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved,
    client::danger::HandshakeSignatureValid,
    crypto::{self, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer},
};

use super::{
    certificate::Certificate,
    der::{PublicKey, Signed},
};

/// Checks that the client holds the key of `certificate`, over TLS 1.2.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(old) = old(certificate) else {
        return crypto::verify_tls12_signature(message, certificate, signed, algorithms);
    };
    let key = PublicKey::parse(old.public_key_info).ok_or(CertificateError::BadEncoding)?;
    let schemes = algorithms.mapping.iter();
    let (_, found) = schemes
        .clone()
        .find(|(scheme, _)| *scheme == signed.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let is_valid = found.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key.algorithm
            && algorithm
                .verify_signature(key.key, message, signed.signature())
                .is_ok()
    });
    match is_valid {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(CertificateError::BadSignature.into()),
    }
}

/// Checks that the client holds the key of `certificate`, over TLS 1.3.
pub(super) fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    match old(certificate) {
        Some(old) => {
            let key = SubjectPublicKeyInfoDer::from(old.public_key_info);
            crypto::verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
        }
        None => crypto::verify_tls13_signature(message, certificate, signed, algorithms),
    }
}

/// The certificate, when its version is one that the library does not read.
fn old<'a>(certificate: &'a CertificateDer<'_>) -> Option<Certificate<'a>> {
    Certificate::parse(certificate).filter(|parsed| !parsed.is_v3)
}

/// Whether `issuer` has signed the certificate in `der`.
pub(super) fn is_signed_by(
    der: &[u8],
    issuer: &Certificate<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let (Some(signed), Some(key)) = (Signed::parse(der), PublicKey::parse(issuer.public_key_info)) else {
        return false;
    };
    algorithms.all.iter().any(|algorithm| {
        algorithm.signature_alg_id().as_ref() == signed.algorithm
            && algorithm.public_key_alg_id().as_ref() == key.algorithm
            && algorithm
                .verify_signature(key.key, signed.content, signed.signature)
                .is_ok()
    })
}

/// Whether signatures of this key can be checked at all.
pub(super) fn is_usable_key(certificate: &Certificate<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    let key = PublicKey::parse(certificate.public_key_info);
    let is_known = key.is_some_and(|key| {
        let mut all = algorithms.all.iter();
        all.any(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm)
    });
    is_known
        && certificate
            .rsa_bits
            .is_none_or(|bits| (2048..=8192).contains(&bits))
}
