//! `http.tls`: the server's certificate, and what is asked of clients.

use std::path::PathBuf;

use wharf_http::{CipherSuite, CipherSuiteError, ClientAuth, TlsOptions};

use super::super::{
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

const NO_LETSENCRYPT: &str = "is not supported yet; let a proxy or certbot get the certificate, and name its files in `http.tls.certificate` and `http.tls.key`: they are read again when they change";

pub(in super::super) const KEYS: &[Key] = &[
    Key::works(
        "http.tls.certificate",
        Kind::Text,
        Default::None,
        "The file of the server's certificate, with those above it; read again when it changes",
    ),
    Key::works(
        "http.tls.key",
        Kind::Text,
        Default::None,
        "The file of its private key",
    ),
    Key::works(
        "http.tls.clientcas",
        Kind::Texts,
        Default::None,
        "Files of the certificates of those who sign clients' certificates; asks clients for one",
    ),
    Key::works(
        "http.tls.clientauth",
        Kind::Word(&[
            "require-and-verify-client-cert",
            "verify-client-cert-if-given",
            "require-any-client-cert",
            "request-client-cert",
        ]),
        Default::Words("`require-and-verify-client-cert`, with `clientcas`"),
        "What is demanded of a client's certificate",
    )
    .since(Since::From3("3.0")),
    Key::works(
        "http.tls.minimumtls",
        Kind::Word(&["tls1.0", "tls1.1", "tls1.2", "tls1.3"]),
        Default::Words("tls1.2"),
        "The oldest version that is spoken; below 1.2 none is",
    ),
    Key::works(
        "http.tls.ciphersuites",
        Kind::Texts,
        Default::None,
        "Which suites are offered, by their names in Go",
    ),
    Key::refused("http.tls.letsencrypt", Kind::Section, NO_LETSENCRYPT),
    Key::below("http.tls.letsencrypt.cachefile", Kind::Text),
    Key::below("http.tls.letsencrypt.email", Kind::Text),
    Key::below("http.tls.letsencrypt.hosts", Kind::Texts),
    Key::below("http.tls.letsencrypt.directoryurl", Kind::Text).since(Since::From3("3.0")),
];

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
pub(super) fn read(tls: &Section<'_>, http2: bool) -> Option<TlsOptions> {
    let certificate = path(tls, "certificate");
    let key = path(tls, "key");
    let client_authorities: Vec<PathBuf> = tls.strings("clientcas").into_iter().map(Into::into).collect();
    let client_auth = client_auth(tls, !client_authorities.is_empty());
    let tls13_only = minimum(tls) == Version::Tls13;
    let cipher_suites = cipher_suites(tls, tls13_only);
    match (certificate, key) {
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
    }
}

fn path(tls: &Section<'_>, key: &str) -> Option<PathBuf> {
    tls.string(key).map(Into::into)
}

fn client_auth(tls: &Section<'_>, has_authorities: bool) -> ClientAuth {
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

fn minimum(tls: &Section<'_>) -> Version {
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
fn cipher_suites(tls: &Section<'_>, tls13_only: bool) -> Vec<CipherSuite> {
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
