//! Handshakes that fail: one line each in plain words, and no more than a log can bear.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Lines in one [`WINDOW`]; scanners of the internet make more handshakes than are worth reading.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// The lines of one server.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Start of the window, and the number of its lines.
    window: Option<(Instant, u32)>,
    /// Failures without a line since the last line.
    unlogged: u64,
}

impl Refusals {
    /// Logs that a handshake with `client` failed, unless the client went away without a word.
    pub(super) fn failed(&self, client: Option<SocketAddr>, error: &io::Error) {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(tls) => self.log(client, &reason(tls)),
            None => tracing::debug!(?client, %error, "a connection ended within its TLS handshake"),
        }
    }

    /// Logs that `client` sent a request without TLS.
    pub(super) fn got_plain_text(&self, client: Option<SocketAddr>) {
        self.log(client, "it speaks plain HTTP; this port is for `https://`");
    }

    fn log(&self, client: Option<SocketAddr>, reason: &str) {
        let Some(unlogged) = self.take_line(Instant::now()) else {
            tracing::debug!(?client, reason, "refused a TLS connection");
            return;
        };
        let client = client.map_or_else(|| "a unix socket".to_owned(), |client| client.to_string());
        match unlogged {
            0 => tracing::info!(client, reason, "refused a TLS connection"),
            _ => tracing::info!(client, reason, unlogged, "refused a TLS connection"),
        }
    }

    /// The number of failures without a line before this one; `None`: this one gets no line either.
    fn take_line(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, lines) = match state.window {
            Some((began, lines)) if now.duration_since(began) < WINDOW => (began, lines),
            _ => (now, 0),
        };
        if lines >= MOST {
            state.unlogged += 1;
            return None;
        }
        state.window = Some((began, lines + 1));
        Some(std::mem::take(&mut state.unlogged))
    }
}

/// Why a handshake failed, in words for operators.
fn reason(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => {
            "it shows no certificate, and `http.tls.clientauth` requires one".to_owned()
        }
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "it speaks no version of TLS that is accepted here (`http.tls.minimumtls`, at least TLS 1.2)"
            .to_owned(),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "it offers no cipher suite that is offered here (`http.tls.ciphersuites`)".to_owned()
        }
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_) => format!("what it sends is no TLS handshake ({error})"),
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    let text = match error {
        CertificateError::UnknownIssuer => {
            "its certificate neither stands in `http.tls.clientcas`, nor has one of these signed it"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for clients (its extended key usage has no `clientAuth`)"
        }
        CertificateError::BadEncoding => "its certificate is damaged",
        CertificateError::BadSignature => "it does not hold the key of its certificate",
        other => return format!("its certificate is not accepted: {other}"),
    };
    text.to_owned()
}

/// The client has refused this server.
fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => format!(
            "it does not trust the certificate of this server ({alert:?}): the certificate's authority must be known to it"
        ),
        AlertDescription::CertificateExpired => {
            "it refuses the certificate of this server, because that has expired".to_owned()
        }
        other => format!("it ended the handshake ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_limited_and_the_rest_is_counted() {
        let refusals = Refusals::default();
        let start = Instant::now();
        for _ in 0..MOST {
            assert_eq!(refusals.take_line(start), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(refusals.take_line(start + WINDOW / 2), None);
        }
        assert_eq!(refusals.take_line(start + WINDOW), Some(5));
        assert_eq!(refusals.take_line(start + WINDOW), Some(0));
    }
}
