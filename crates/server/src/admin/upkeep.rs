//! What a server takes care of by itself: the bytes of its blobs, and its certificate.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use wharf_http::{CertificateRole, DescribedCertificate, Tls};
use wharf_oci::Digest;
use wharf_registry::ScrubRecord;

use super::{checks::shown_scrub, wire};

/// What a server takes care of by itself.
#[derive(Debug, Clone, Default)]
pub struct Upkeep {
    scrub: Option<Arc<ScrubRecord>>,
    tls: Option<Tls>,
}

impl Upkeep {
    /// That of a server with this scrub, and this certificate.
    pub fn new(scrub: Option<Arc<ScrubRecord>>, tls: Option<Tls>) -> Self {
        Self { scrub, tls }
    }

    /// What the scrub has found.
    pub fn scrub(&self) -> Option<wire::ScrubState> {
        Some(shown_scrub(self.scrub.as_deref()?))
    }

    /// The certificates in force, and what is wrong with their files.
    pub async fn certificates(&self) -> wire::Certificates {
        let Some(tls) = &self.tls else {
            return wire::Certificates {
                certificates: Vec::new(),
                file: None,
                problem: None,
                warnings: Vec::new(),
            };
        };
        let certificates = tls.certificates().await;
        let status = tls.status();
        wire::Certificates {
            certificates: certificates.into_iter().map(shown_certificate).collect(),
            file: Some(tls.path().display().to_string()),
            problem: status.problem,
            warnings: status.findings,
        }
    }

    /// The certificate that clients must be told to trust, if the server knows it.
    pub async fn authority(&self) -> wire::Authority {
        let last = match &self.tls {
            Some(tls) => tls.last_own().await,
            None => None,
        };
        let Some(last) = last.filter(|last| last.is_self_signed) else {
            return wire::Authority::default();
        };
        wire::Authority {
            certificate: Some(pem(&last.der)),
            subject: Some(last.subject),
            fingerprint: Some(fingerprint(&last.der)),
        }
    }

    /// The certificate in force.
    pub async fn certificate(&self) -> Option<wire::CertificateState> {
        let ends = self.tls.as_ref()?.ends().await;
        Some(wire::CertificateState {
            ends: format!("{ends:.0}"),
        })
    }
}

fn shown_certificate(certificate: DescribedCertificate) -> wire::ShownCertificate {
    let role = match certificate.role {
        CertificateRole::Own => "server",
        CertificateRole::Chain => "chain",
        CertificateRole::OfClients => "clients",
    };
    wire::ShownCertificate {
        role: role.to_owned(),
        fingerprint: fingerprint(&certificate.der),
        subject: certificate.subject,
        names: certificate.names,
        issuer: certificate.issuer,
        begins: format!("{:.0}", certificate.not_before),
        ends: format!("{:.0}", certificate.not_after),
        key: certificate.key,
        self_signed: certificate.is_self_signed,
    }
}

/// SHA-256 of the bytes of a certificate.
fn fingerprint(der: &[u8]) -> String {
    Digest::sha256_of(der).hex().to_string()
}

/// The bytes of a certificate as PEM.
fn pem(der: &[u8]) -> String {
    /// Characters of a line.
    const LINE: usize = 64;
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(LINE)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
