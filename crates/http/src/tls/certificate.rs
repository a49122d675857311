//! The parts of a certificate that decide whether clients accept it: key, validity, host names.
//!
//! rustls shows a certificate without looking into it, and the verifiers of clients are no help for reading one: they
//! refuse what registry:2 serves.

use std::borrow::Cow;

use jiff::Timestamp;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
    time::ASN1Time,
    x509::SubjectPublicKeyInfo,
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
    /// Whether it names hosts (a subject alternative name that is a DNS name or an address).
    pub(super) names_hosts: bool,
    /// The common name of the subject, which clients no longer accept as a host name.
    pub(super) common_name: Option<String>,
}

impl<'a> Certificate<'a> {
    /// Parses DER. `None`: it is not a certificate.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
        let common_name = certificate.subject().iter_common_name().next();
        let common_name =
            common_name.map(|name| String::from_utf8_lossy(name.attr_value().data).into_owned());
        let names_hosts = certificate
            .extensions()
            .iter()
            .any(|extension| names_hosts(extension.parsed_extension()));
        let validity = certificate.validity();
        Some(Self {
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
            names_hosts,
            common_name,
            public_key: certificate.tbs_certificate.subject_pki.subject_public_key.data,
        })
    }
}

/// The key in a `SubjectPublicKeyInfo`, without the name of its algorithm.
pub(super) fn public_key_of_info(info: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (_rest, info) = SubjectPublicKeyInfo::from_der(info).ok()?;
    Some(info.subject_public_key.data)
}

fn names_hosts(extension: &ParsedExtension<'_>) -> bool {
    let ParsedExtension::SubjectAlternativeName(names) = extension else {
        return false;
    };
    let is_host =
        |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
    names.general_names.iter().any(is_host)
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
        assert!(certificate.names_hosts);
        let info = key.subject_public_key_info();
        assert_eq!(public_key_of_info(&info), Some(certificate.public_key));
    }

    #[test]
    fn a_common_name_or_a_mail_address_names_no_host() {
        let mail = SanType::Rfc822Name("a@b.example".try_into().unwrap());
        for names in [vec![], vec![mail]] {
            let (der, _) = der(names, "localhost");
            assert!(!Certificate::parse(&der).unwrap().names_hosts);
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
