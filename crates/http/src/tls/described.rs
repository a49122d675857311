//! What a certificate says, in the words of operators.

use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, public_key::PublicKey};

use super::{certificate::Certificate, inspected::has_signed};

/// A certificate, as operators read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedCertificate {
    /// What it is for.
    pub role: CertificateRole,
    /// Name of its owner.
    pub subject: String,
    /// The names and addresses of hosts that it is for.
    pub names: Vec<String>,
    /// Name of the authority that signed it.
    pub issuer: String,
    /// Time from which on clients accept it.
    pub not_before: Timestamp,
    /// Time until which clients accept it.
    pub not_after: Timestamp,
    /// The public key: its kind, and its size in bits.
    pub key: String,
    /// Whether it is signed with its own key, so that clients must be told to trust it.
    pub is_self_signed: bool,
    /// Its bytes.
    pub der: Vec<u8>,
}

/// What a certificate of a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// It is that of the server.
    Own,
    /// It leads from that of the server to an authority that clients know.
    Chain,
    /// It signs certificates of clients.
    OfClients,
}

impl CertificateRole {
    /// That of the certificate at this place in the file of the server.
    pub(super) fn at(place: usize) -> Self {
        match place {
            0 => Self::Own,
            _ => Self::Chain,
        }
    }
}

impl DescribedCertificate {
    /// What the certificate `der` says. `None`: it is none.
    pub(super) fn of(der: &[u8], role: CertificateRole) -> Option<Self> {
        let (_rest, parsed) = X509Certificate::from_der(der).ok()?;
        let certificate = Certificate::of(&parsed)?;
        let key = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
            Ok(PublicKey::EC(point)) => format!("ECDSA {}", curve(point.key_size())),
            _ => match parsed.public_key().algorithm.algorithm.to_id_string().as_str() {
                "1.3.101.112" => "Ed25519".to_owned(),
                other => other.to_owned(),
            },
        };
        Some(Self {
            role,
            subject: name(parsed.subject().to_string(), &certificate),
            issuer: parsed.issuer().to_string(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            key,
            is_self_signed: has_signed(&certificate, der),
            names: certificate.names,
            der: der.to_owned(),
        })
    }
}

/// Name of a curve with coordinates of so many bits.
fn curve(bits: usize) -> String {
    match bits {
        // Its coordinates fill 66 bytes.
        528 => "P-521".to_owned(),
        bits => format!("P-{bits}"),
    }
}

/// The name of the owner; where a certificate has none, as those of some authorities, the first host.
fn name(subject: String, certificate: &Certificate<'_>) -> String {
    match (subject.is_empty(), certificate.names.first()) {
        (true, Some(host)) => host.clone(),
        _ => subject,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_is_described_by_its_names_its_key_and_its_end() {
        let mut params = CertificateParams::new(vec!["registry.example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "registry");
        params.not_after = rcgen::date_time_ymd(2051, 3, 4);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let described = DescribedCertificate::of(made.der(), CertificateRole::Own).unwrap();
        assert!(described.subject.contains("CN=registry"), "{}", described.subject);
        assert_eq!(described.names, ["registry.example.com"]);
        assert_eq!(
            (described.key.as_str(), described.is_self_signed),
            ("ECDSA P-256", true)
        );
        assert_eq!(described.not_after.to_string(), "2051-03-04T00:00:00Z");
        assert_eq!(DescribedCertificate::of(b"none", CertificateRole::Own), None);
    }
}
