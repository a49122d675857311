//! The parts of a certificate that decide whether clients accept it: key, validity, host names.
//!
//! rustls shows a certificate without looking into it, and the verifiers of clients are no help for reading one: they
//! refuse what registry:2 serves.

use std::{borrow::Cow, net::IpAddr};

use jiff::Timestamp;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
    public_key::PublicKey,
    time::ASN1Time,
    x509::{SubjectPublicKeyInfo, X509Version},
};

/// The parts of an X.509 certificate (RFC 5280, section 4.1) that are checked.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// The public key, without the name of its algorithm.
    pub(super) public_key: Cow<'a, [u8]>,
    /// Time from which on clients accept the certificate.
    pub(super) not_before: Timestamp,
    /// Time until which clients accept the certificate.
    pub(super) not_after: Timestamp,
    /// The hosts that it names: subject alternative names that are DNS names or addresses.
    pub(super) names: Vec<String>,
    /// The common name of the subject, which clients no longer accept as a host name.
    pub(super) common_name: Option<String>,
    /// Whether its version is 3, the only one with extensions.
    pub(super) is_v3: bool,
    /// Whether it may sign certificates, as Go decides: one of version 1 says nothing about that.
    pub(super) is_authority: bool,
    /// Whether it may be shown by a client: its extended key usage, if it has one, allows that.
    pub(super) is_for_clients: bool,
    /// Whether it has a critical extension that is not looked at here.
    pub(super) has_unknown_demands: bool,
    /// The name of the certificate's owner, in DER.
    pub(super) subject: &'a [u8],
    /// The name of the authority that signed it, in DER.
    pub(super) issuer: &'a [u8],
    /// The public key with the name of its algorithm, in DER.
    pub(super) public_key_info: &'a [u8],
    /// Size of an RSA key in bits.
    pub(super) rsa_bits: Option<usize>,
}

impl<'a> Certificate<'a> {
    /// Parses DER. `None`: it is not a certificate.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
        Self::of(&certificate)
    }

    /// The parts of a certificate that was parsed. `None`: its extensions contradict each other.
    pub(super) fn of(certificate: &X509Certificate<'a>) -> Option<Self> {
        let common_name = certificate.subject().iter_common_name().next();
        let common_name =
            common_name.map(|name| String::from_utf8_lossy(name.attr_value().data).into_owned());
        let names = certificate
            .extensions()
            .iter()
            .flat_map(|extension| hosts(extension.parsed_extension()));
        let validity = certificate.validity();
        let is_v3 = certificate.version() == X509Version::V3;
        let constraints = certificate.basic_constraints().ok()?;
        let usage = certificate.extended_key_usage().ok()?;
        let rsa_bits = match certificate.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()),
            _ => None,
        };
        Some(Self {
            is_v3,
            is_authority: !is_v3 || constraints.is_some_and(|constraints| constraints.value.ca),
            is_for_clients: usage.is_none_or(|usage| usage.value.any || usage.value.client_auth),
            has_unknown_demands: certificate
                .extensions()
                .iter()
                .any(|extension| extension.critical && !is_looked_at(extension.parsed_extension())),
            subject: certificate.tbs_certificate.subject.as_raw(),
            issuer: certificate.tbs_certificate.issuer.as_raw(),
            public_key_info: certificate.tbs_certificate.subject_pki.raw,
            rsa_bits,
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
            names: names.collect(),
            common_name,
            public_key: certificate
                .tbs_certificate
                .subject_pki
                .subject_public_key
                .data
                .clone(),
        })
    }
}

/// Whether an extension is one of those that decide here, or of those that restrict what is not asked for here.
fn is_looked_at(extension: &ParsedExtension<'_>) -> bool {
    matches!(
        extension,
        ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectAlternativeName(_)
    )
}

/// The key in a `SubjectPublicKeyInfo`, without the name of its algorithm.
pub(super) fn public_key_of_info(info: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (_rest, info) = SubjectPublicKeyInfo::from_der(info).ok()?;
    Some(info.subject_public_key.data)
}

fn hosts(extension: &ParsedExtension<'_>) -> Vec<String> {
    let ParsedExtension::SubjectAlternativeName(names) = extension else {
        return Vec::new();
    };
    names.general_names.iter().filter_map(host).collect()
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            Some(address.map_or_else(|_| "a damaged address".to_owned(), |address| address.to_string()))
        }
        _ => None,
    }
}

/// A time beyond the range of `Timestamp` becomes its end: the year 9999 means "for ever".
fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _, SanType};

    use super::*;

    fn der(names: Vec<SanType>, common_name: &str) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2051, 3, 4);
        (params.self_signed(&key).unwrap().der().to_vec(), key)
    }

    #[test]
    fn a_certificate_says_for_whom_and_until_when() {
        let (der, key) = der(vec![SanType::IpAddress([127, 0, 0, 1].into())], "localhost");
        let certificate = Certificate::parse(&der).unwrap();
        assert_eq!(certificate.common_name.as_deref(), Some("localhost"));
        assert_eq!(certificate.not_before.to_string(), "2026-01-02T00:00:00Z");
        // From 2050 on, years have four digits.
        assert_eq!(certificate.not_after.to_string(), "2051-03-04T00:00:00Z");
        assert_eq!(certificate.names, ["127.0.0.1"]);
        let info = key.subject_public_key_info();
        assert_eq!(public_key_of_info(&info), Some(certificate.public_key));
    }

    #[test]
    fn a_common_name_or_a_mail_address_names_no_host() {
        let mail = SanType::Rfc822Name("a@b.example".try_into().unwrap());
        for names in [vec![], vec![mail]] {
            let (der, _) = der(names, "localhost");
            assert!(Certificate::parse(&der).unwrap().names.is_empty());
        }
    }

    #[test]
    fn damaged_bytes_are_no_certificate_and_no_panic() {
        let (der, _) = der(vec![SanType::DnsName("a.example".try_into().unwrap())], "a");
        for end in 0..der.len() {
            assert!(Certificate::parse(&der[..end]).is_none());
        }
        for at in 0..der.len() {
            for value in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = der.clone();
                damaged[at] = value;
                // Any answer will do.
                drop(Certificate::parse(&damaged));
            }
        }
    }
}
