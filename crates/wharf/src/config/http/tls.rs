//! `http.tls`: the server's certificate, and what is asked of clients.

use std::path::PathBuf;

use wharf_server::{CipherSuite, CipherSuiteError, ClientAuth, TlsOptions};

use super::super::raw::Section;

const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    ("require-and-verify-client-cert", ClientAuth::RequireAndVerify),
    ("verify-client-cert-if-given", ClientAuth::VerifyIfGiven),
    ("require-any-client-cert", ClientAuth::RequireAny),
    ("request-client-cert", ClientAuth::Request),
];

/// Versions below 1.2 are not spoken; what asks for them gets 1.2.
const VERSIONS: &[(&str, Version)] = &[
    ("tls1.0", Version::Old),
    ("tls1.1", Version::Old),
    ("tls1.2", Version::Tls12),
    ("tls1.3", Version::Tls13),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Old,
    Tls12,
    Tls13,
}

/// `None`: TLS is not spoken.
pub(super) fn read(mut tls: Section<'_>, http2: bool) -> Option<TlsOptions> {
    letsencrypt(&mut tls);
    let certificate = path(&mut tls, "certificate");
    let key = path(&mut tls, "key");
    let client_authorities: Vec<PathBuf> = tls.strings("clientcas").into_iter().map(Into::into).collect();
    let client_auth = client_auth(&mut tls, !client_authorities.is_empty());
    let tls13_only = minimum(&mut tls) == Version::Tls13;
    let cipher_suites = cipher_suites(&mut tls, tls13_only);
    let options = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsOptions {
            certificate,
            key,
            client_authorities,
            client_auth,
            tls13_only,
            cipher_suites,
            http2,
        }),
        (Some(_), None) => {
            tls.problem("key", "is missing: the file of the certificate's private key");
            None
        }
        (None, Some(_)) => {
            tls.problem(
                "certificate",
                "is missing: without it this server would speak without encryption",
            );
            None
        }
        (None, None) => {
            if !client_authorities.is_empty() {
                tls.problem(
                    "clientcas",
                    "needs `http.tls.certificate` and `http.tls.key`: without TLS every client gets in",
                );
            }
            None
        }
    };
    tls.finish();
    options
}

/// A file; an empty name is none.
fn path(tls: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    tls.string(key).filter(|path| !path.is_empty()).map(Into::into)
}

fn client_auth(tls: &mut Section<'_>, has_authorities: bool) -> ClientAuth {
    let Some(mode) = tls.choice("clientauth", CLIENT_AUTH) else {
        return ClientAuth::default();
    };
    if !has_authorities {
        match mode {
            ClientAuth::RequireAndVerify | ClientAuth::RequireAny => tls.problem(
                "clientauth",
                "needs `http.tls.clientcas`, the certificates of those who sign clients' certificates: without it clients are not asked, and everybody gets in",
            ),
            ClientAuth::VerifyIfGiven | ClientAuth::Request => tls.warning(
                "clientauth",
                "has no effect without `http.tls.clientcas`: clients are not asked for a certificate",
            ),
        }
    }
    mode
}

fn minimum(tls: &mut Section<'_>) -> Version {
    let version = tls.choice("minimumtls", VERSIONS).unwrap_or(Version::Tls12);
    if version == Version::Old {
        tls.warning(
            "minimumtls",
            "asks for a version that is not safe any more; TLS 1.2 is the oldest that is spoken",
        );
    }
    version
}

/// Those of TLS 1.2 that were asked for.
fn cipher_suites(tls: &mut Section<'_>, tls13_only: bool) -> Vec<CipherSuite> {
    let names = tls.strings("ciphersuites");
    if tls13_only || names.is_empty() {
        return Vec::new();
    }
    let mut suites = Vec::new();
    let mut is_wrong = false;
    for name in &names {
        match name.parse::<CipherSuite>() {
            Ok(suite) => suites.push(suite),
            Err(error @ CipherSuiteError::Unsafe) => {
                tls.warning("ciphersuites", &format!("lists `{name}`, which {error}"));
            }
            Err(error @ CipherSuiteError::Unknown) => {
                is_wrong = true;
                tls.problem(
                    "ciphersuites",
                    &format!("lists `{}`, which {error}", name.escape_debug()),
                );
            }
        }
    }
    if is_wrong {
        // Said already.
    } else if suites.is_empty() {
        tls.problem("ciphersuites", "lists none that can be offered");
    } else if suites.iter().all(|suite| suite.is_tls13()) {
        tls.warning(
            "ciphersuites",
            "lists none of TLS 1.2: clients that do not know TLS 1.3 cannot connect",
        );
    }
    suites
}

fn letsencrypt(tls: &mut Section<'_>) {
    let section = tls.section("letsencrypt");
    if !section.is_empty() {
        section.problem_here(
            "is not supported yet; let a proxy or certbot get the certificate, and name its files in `http.tls.certificate` and `http.tls.key`: they are read again when they change",
        );
    }
}
