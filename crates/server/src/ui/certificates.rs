//! The certificates of TLS.

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use wharf_pages::{Certificate, Certificates, Line, Page, Said, Time, Tone};

use super::{answer::Answer, call::Call, failure::Result};
use crate::admin::wire;

/// How long before its end a certificate needs attention.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The certificates in force.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let shown: wire::Certificates = call.ask("showCertificates", &[]).await?;
        let authority: wire::Authority = call.ask("showAuthority", &[]).await?;
        let page = call.page();
        let certificates = shown.certificates.iter();
        let certificates =
            certificates.filter_map(|certificate| shown_certificate(&page, &shown, certificate));
        Ok(Answer::page(Certificates {
            has_ca: authority.certificate.is_some(),
            certificates: certificates.collect(),
            page,
        }))
    }
    .boxed()
}

fn shown_certificate(
    page: &Page,
    all: &wire::Certificates,
    certificate: &wire::ShownCertificate,
) -> Option<Certificate> {
    let ends: Timestamp = certificate.ends.parse().ok()?;
    let left = ends.duration_since(page.now);
    let (tone, icon, state) = match left {
        left if left.is_negative() => (Tone::Bad, "warn", "certificate.ended"),
        left if left < SOON => (Tone::Warn, "warn", "certificate.soon"),
        _ => (Tone::Good, "check", "certificate.good"),
    };
    let is_own = certificate.role == "server";
    let problem = all.problem.as_ref().or_else(|| all.warnings.first());
    let advice = problem.filter(|_| is_own);
    Some(Certificate {
        subject: Line::from(&certificate.subject),
        tone,
        icon,
        state: page.t(state),
        hosts: certificate.names.iter().map(Line::from).collect(),
        ends: Time::from(ends),
        issuer: Line::from(&certificate.issuer),
        key: Line::from(&certificate.key),
        source: match (certificate.role.as_str(), &all.file) {
            ("clients", _) => Line::from("http.tls.clientcas"),
            (_, Some(file)) => Line::from(file),
            (_, None) => Line::default(),
        },
        fingerprint: certificate.fingerprint.clone(),
        advice: advice.map(|problem| {
            let problem = Said::from(Line::from(problem));
            problem.put_into(page.t("certificate.advice"), "problem")
        }),
    })
}
