//! Chains of certificates (`x5c`): from the key that signed a token to a certificate of the bundle.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, Cert, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, x509::X509Version};

use super::{
    key::{KeyFault, PublicKey},
    limits::CERTIFICATES,
    rejection::ChainFault,
};

/// A certificate of the bundle.
#[derive(Debug, Clone)]
pub(super) struct Root {
    der: CertificateDer<'static>,
    pub(super) key: PublicKey,
    validity: Validity,
    /// What it vouches for, if it is the certificate of an authority.
    anchor: Option<TrustAnchor<'static>>,
}

/// Why a certificate of the bundle cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RootFault {
    #[error("the certificate is damaged")]
    Damaged,
    #[error("the key of the certificate {0}")]
    Key(KeyFault),
}

/// The times between which a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Validity {
    from: i64,
    until: i64,
}

impl Root {
    /// Reads a certificate.
    pub(super) fn read(der: Vec<u8>) -> Result<Self, RootFault> {
        let der = CertificateDer::from(der);
        let certificate = parsed(&der).ok_or(RootFault::Damaged)?;
        let key = PublicKey::from_info(certificate.public_key().raw).map_err(RootFault::Key)?;
        let validity = Validity::of(&certificate);
        let anchor = if is_authority(&certificate) {
            let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| RootFault::Damaged)?;
            Some(anchor.to_owned())
        } else {
            None
        };
        Ok(Self {
            key,
            validity,
            anchor,
            der,
        })
    }
}

/// The key of the first certificate of a chain, and the time until which the chain is valid, both in seconds since 1970.
///
/// As in registry:2, a certificate that is itself in the bundle needs no signature, and what it may be used for is not
/// asked.
pub(super) fn verified(chain: &[String], roots: &[Root], now: i64) -> Result<(PublicKey, i64), ChainFault> {
    if chain.len() > CERTIFICATES {
        return Err(ChainFault::TooLong);
    }
    let mut certificates = Vec::with_capacity(chain.len());
    for (place, text) in chain.iter().enumerate() {
        let der = STANDARD
            .decode(text)
            .map_err(|_| ChainFault::Damaged(place + 1))?;
        let der = CertificateDer::from(der);
        if parsed(&der).is_none() {
            return Err(ChainFault::Damaged(place + 1));
        }
        certificates.push(der);
    }
    let (first, others) = certificates.split_first().ok_or(ChainFault::Damaged(1))?;
    if let Some(root) = roots.iter().find(|root| root.der == *first) {
        root.validity.check(now)?;
        return Ok((root.key.clone(), root.validity.until));
    }
    let until = path_to_root(first, others, roots, now)?;
    let certificate = parsed(first).ok_or(ChainFault::Damaged(1))?;
    let key = PublicKey::from_info(certificate.public_key().raw).map_err(|_| ChainFault::Key)?;
    Ok((key, until))
}

fn path_to_root(
    first: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    roots: &[Root],
    now: i64,
) -> Result<i64, ChainFault> {
    let valid = roots.iter().filter(|root| root.validity.check(now).is_ok());
    let anchors: Vec<TrustAnchor<'_>> = valid.filter_map(|root| root.anchor.clone()).collect();
    let end = EndEntityCert::try_from(first).map_err(fault)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    let path = end
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            others,
            time,
            AnyUsage,
            None,
            None,
        )
        .map_err(fault)?;
    end_of(&path, first, roots)
}

/// The earliest end of all that a path consists of. Of two certificates for one root the later end counts.
fn end_of(path: &VerifiedPath<'_>, first: &CertificateDer<'_>, roots: &[Root]) -> Result<i64, ChainFault> {
    let of_root = roots
        .iter()
        .filter(|root| root.anchor.as_ref() == Some(path.anchor()))
        .map(|root| root.validity.until)
        .max();
    let mut until = of_root.ok_or(ChainFault::UnknownRoot)?;
    let between = path.intermediate_certificates().map(Cert::der);
    for (place, der) in [first.clone()].into_iter().chain(between).enumerate() {
        let certificate = parsed(&der).ok_or(ChainFault::Damaged(place + 1))?;
        until = until.min(Validity::of(&certificate).until);
    }
    Ok(until)
}

/// Whether a certificate may vouch for others, as Go decides.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let is_v3 = certificate.version() == X509Version::V3;
    let constraints = certificate.basic_constraints().ok().flatten();
    let usage = certificate.key_usage().ok().flatten();
    constraints.map_or(!is_v3, |constraints| constraints.value.ca)
        && usage.is_none_or(|usage| usage.value.key_cert_sign())
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(der) {
        Ok((b"", certificate)) => Some(certificate),
        _ => None,
    }
}

fn fault(error: webpki::Error) -> ChainFault {
    match error {
        webpki::Error::UnknownIssuer => ChainFault::UnknownRoot,
        webpki::Error::CertExpired { .. } => ChainFault::Expired,
        webpki::Error::CertNotValidYet { .. } => ChainFault::NotYetValid,
        webpki::Error::CaUsedAsEndEntity => ChainFault::Authority,
        other => ChainFault::Invalid(format!("it breaks a rule of RFC 5280 ({other})")),
    }
}

impl Validity {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
        }
    }

    fn check(self, now: i64) -> Result<(), ChainFault> {
        if now > self.until {
            return Err(ChainFault::Expired);
        }
        if now < self.from {
            return Err(ChainFault::NotYetValid);
        }
        Ok(())
    }
}

/// Every purpose of a certificate is as good as another, as in registry:2.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}
