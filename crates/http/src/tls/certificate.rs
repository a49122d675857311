//! What an operator should know of a certificate before a client complains: for which key, until when, for whom.
//!
//! rustls shows a certificate without looking into it, and the verifiers of clients are no help for reading one: they
//! refuse what registry:2 serves. A certificate is a few nested DER values, so the way to those that we need is here.

use jiff::{Timestamp, civil, tz::TimeZone};

/// The parts of an X.509 certificate (RFC 5280, section 4.1) that we look at.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// The key itself, without the name of its algorithm.
    pub(super) public_key: &'a [u8],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Whether it says for which hosts it is (a subject alternative name that is a DNS name or an address).
    pub(super) names_hosts: bool,
    /// What was used before such names, and is no longer believed.
    pub(super) common_name: Option<String>,
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

impl<'a> Certificate<'a> {
    /// `None`: this is no certificate.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut fields = Values(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        // The first version of the format had no field for it.
        fields.enter(VERSION);
        fields.take(INTEGER)?; // serial number
        fields.take(SEQUENCE)?; // algorithm of the signature
        fields.take(SEQUENCE)?; // issuer
        let mut validity = fields.enter(SEQUENCE)?;
        let subject = fields.enter(SEQUENCE)?;
        let public_key = public_key(fields.take(SEQUENCE)?)?;
        Some(Self {
            public_key,
            not_before: validity.time()?,
            not_after: validity.time()?,
            names_hosts: names_hosts(fields),
            common_name: common_name(subject),
        })
    }
}

/// The key in a `SubjectPublicKeyInfo`, given without its own frame.
fn public_key(info: &[u8]) -> Option<&[u8]> {
    let mut fields = Values(info);
    fields.take(SEQUENCE)?;
    fields.take(BIT_STRING)
}

/// The same of a whole `SubjectPublicKeyInfo`.
pub(super) fn public_key_of_info(info: &[u8]) -> Option<&[u8]> {
    public_key(Values(info).take(SEQUENCE)?)
}

fn common_name(mut subject: Values<'_>) -> Option<String> {
    while let Some(mut set) = subject.enter(SET) {
        while let Some(mut attribute) = set.enter(SEQUENCE) {
            if attribute.take(OBJECT_IDENTIFIER) == Some(COMMON_NAME) {
                let (_kind, text) = attribute.next()?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
    None
}

fn names_hosts(mut fields: Values<'_>) -> bool {
    let mut extensions = loop {
        match fields.next() {
            Some((EXTENSIONS, inside)) => break Values(inside).enter(SEQUENCE).unwrap_or(Values(&[])),
            Some(_) => {}
            None => return false,
        }
    };
    while let Some(mut extension) = extensions.enter(SEQUENCE) {
        if extension.take(OBJECT_IDENTIFIER) != Some(SUBJECT_ALTERNATIVE_NAME) {
            continue;
        }
        // Whether it is critical may stand before it.
        while let Some((tag, value)) = extension.next() {
            if tag != OCTET_STRING {
                continue;
            }
            let mut names = Values(value).enter(SEQUENCE).unwrap_or(Values(&[]));
            while let Some((kind, _)) = names.next() {
                if matches!(kind, DNS_NAME | IP_ADDRESS) {
                    return true;
                }
            }
        }
    }
    false
}

/// DER values that follow each other.
#[derive(Clone, Copy)]
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    /// The tag and the contents of the next value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes
                    .iter()
                    .fold(0, |length, &byte| length << 8 | usize::from(byte));
                (length, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// The contents of the next value if it has this tag; else nothing is taken.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, contents) = ahead.next()?;
        (found == tag).then(|| {
            *self = ahead;
            contents
        })
    }

    fn enter(&mut self, tag: u8) -> Option<Values<'a>> {
        self.take(tag).map(Values)
    }

    /// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5). What lies beyond our calendar is its end:
    /// the year 9999 means "for ever".
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, text) = self.next()?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match tag {
            UTC_TIME if text.len() == 12 => {
                let (year, rest) = text.split_at(2);
                let year: i16 = year.parse().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME if text.len() == 14 => {
                let (year, rest) = text.split_at(4);
                (year.parse().ok()?, rest)
            }
            _ => return None,
        };
        let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
        let time = civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
        let time = time.to_zoned(TimeZone::UTC);
        Some(time.map_or(Timestamp::MAX, |time| time.timestamp()))
    }
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
