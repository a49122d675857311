//! Why a server cannot be reached, in one line with a remedy.

use std::{
    error::Error as _,
    io,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{AlertDescription, CertificateError, InvalidMessage, pki_types::UnixTime};

use crate::{
    address::Scheme,
    outgoing::{self, Route},
};

/// Where a client is told what to do about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedies {
    /// On the command line
    Command,
    /// In the configuration of a mirror
    Mirror,
}

/// The reason why no request to the registry at `host` by `scheme` has an answer.
pub(crate) fn explain(
    error: &reqwest::Error,
    scheme: Scheme,
    host: &str,
    remedies: Remedies,
    route: &Route,
) -> String {
    if let Some(tls) = outgoing::tls_cause(error) {
        return explain_tls(tls, host, remedies);
    }
    let cause = outgoing::cause(error);
    let reason = match io_kind(error) {
        // Over HTTP/2 the alert comes as a text: it arrives when the handshake is over for the client.
        _ if cause.contains("fatal alert: CertificateRequired") => remedies.certificate(host),
        _ if cause.contains("failed to lookup address") => {
            "there is no host of this name; is it spelled right, and does the name server of this machine know it?"
                .to_owned()
        }
        _ if error.is_timeout() => {
            "it does not answer in time; is the address right, and does a firewall let it through?".to_owned()
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            "connection refused; is the registry running, and is the port right?".to_owned()
        }
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!("{cause}; is this machine in the right network?")
        }
        _ if scheme == Scheme::Http && !error.is_connect() => {
            format!("it closed the connection ({cause}); if it speaks TLS, write `https://{host}`")
        }
        // A server without a certificate of the client closes the connection, and its alert may be lost when more was sent meanwhile.
        _ if scheme == Scheme::Https && !error.is_connect() && !error.is_timeout() => {
            format!("it closed the connection ({cause}); maybe {}", remedies.certificate(host))
        }
        _ => cause,
    };
    match route.proxy_of(error) {
        Some(proxy) => format!("{reason} (through the proxy `{proxy}`)"),
        None => reason,
    }
}

fn explain_tls(error: &rustls::Error, host: &str, remedies: Remedies) -> String {
    match error {
        rustls::Error::InvalidCertificate(certificate) => explain_certificate(certificate, host, remedies),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("it speaks no TLS; {}", remedies.plain_http(host))
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::BadCertificate,
        ) => remedies.certificate(host),
        other => format!("TLS failed: {}", outgoing::tls_text(other)),
    }
}

impl Remedies {
    fn authority(self) -> &'static str {
        match self {
            Self::Command => "`--cacert FILE` names its authority, and `--insecure` trusts any",
            Self::Mirror => "`authorities` of the mirror names its authority, and `insecure` trusts any",
        }
    }

    fn plain_http(self, host: &str) -> String {
        match self {
            Self::Command => format!("`--plain-http`, or `http://{host}`, says that plain HTTP is meant"),
            Self::Mirror => format!("`remoteurl: http://{host}` says that plain HTTP is meant"),
        }
    }

    fn certificate(self, host: &str) -> String {
        let place = match self {
            Self::Command => {
                format!("put `client.cert` and `client.key` into `~/.docker/certs.d/{host}`")
            }
            Self::Mirror => "`certificate` and `key` of the mirror name its files".to_owned(),
        };
        format!("it requires a certificate of the client; {place}")
    }
}

fn explain_certificate(error: &CertificateError, host: &str, remedies: Remedies) -> String {
    let authority = remedies.authority();
    match error {
        CertificateError::UnknownIssuer => format!(
            "its certificate is not trusted, because no authority that this machine knows has signed it; {authority}"
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "its certificate has ended on {}, and the clock of this machine says {}; renew the certificate, or set the clock",
            date(*not_after),
            date(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate begins on {}, and the clock of this machine says {}; set the clock of this machine, or of the one that made it",
            date(*not_before),
            date(*time)
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented.iter().take(8).map(|name| format!("`{}`", plain(name)));
            format!(
                "its certificate is for {}, not for `{host}`; use a name that it has, or get a certificate for this one",
                names.collect::<Vec<_>>().join(", ")
            )
        }
        other => format!("its certificate is not trusted ({other}); {authority}"),
    }
}

/// A name of a certificate without the kind that the library puts around it: `DnsName("a.test")`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(
        || "a day that no calendar has".to_owned(),
        httpdate::fmt_http_date,
    )
}

/// The kind of the I/O error that is the cause.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    let mut kind = None;
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            kind = Some(io.kind());
        }
        cause = error.source();
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_certificate_that_has_ended_is_told_with_both_times() {
        let ended = CertificateError::ExpiredContext {
            time: time(1_800_000_000),
            not_after: time(1_700_000_000),
        };
        let text = explain_certificate(&ended, "h", Remedies::Command);
        assert!(
            text.contains("Tue, 14 Nov 2023")
                && text.contains("Fri, 15 Jan 2027")
                && text.contains("set the clock"),
            "{text}"
        );
        let early = CertificateError::NotValidYetContext {
            time: time(0),
            not_before: time(1_700_000_000),
        };
        let text = explain_certificate(&early, "h", Remedies::Command);
        assert!(text.contains("1970") && text.contains("2023"), "{text}");
    }

    #[test]
    fn tls_that_fails_has_a_remedy() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let tls = |error: &rustls::Error, remedies| explain_tls(error, "h:5000", remedies);
        assert!(tls(&alert, Remedies::Command).contains("certs.d/h:5000"));
        assert!(tls(&alert, Remedies::Mirror).contains("`certificate`"));
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(tls(&plain, Remedies::Command).contains("`--plain-http`"));
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(tls(&unknown, Remedies::Command).contains("--cacert"));
        assert!(tls(&unknown, Remedies::Mirror).contains("`authorities`"));
        assert_eq!(super::plain("DnsName(\"a.test\")"), "a.test");
        assert_eq!(super::plain("127.0.0.1"), "127.0.0.1");
    }
}
