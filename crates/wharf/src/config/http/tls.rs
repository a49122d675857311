//! `http.tls`: the server's certificate, and certificates of clients.

use std::path::PathBuf;

use wharf_http::{CipherSuite, CipherSuiteError, ClientAuth, TlsOptions};

use super::super::{
    keys::{Default, Key, Since, keys, words},
    section::Section,
};

keys! {
    CERTIFICATE: Option<String> = Key::new("http.tls.certificate")
        .help("PEM file of the server's certificate with its intermediates; read again when it changes");
    KEY: Option<String> = Key::new("http.tls.key").help("PEM file of the certificate's private key");
    CLIENT_CAS: Vec<String> = Key::list("http.tls.clientcas")
        .help("PEM files of the CA certificates that verify certificates of clients; asks clients for one");
    CLIENT_AUTH: Option<ClientAuth> = Key::new("http.tls.clientauth")
        .shown_default(Default::Words("`require-and-verify-client-cert`, with `clientcas`"))
        .help("Requirement for the certificate of a client")
        .since(Since::From3("3.0"));
    MINIMUM: Option<Version> = Key::new("http.tls.minimumtls")
        .shown_default(Default::Words("tls1.2"))
        .help("Oldest version of TLS that is accepted; versions below 1.2 never are");
    CIPHER_SUITES: Vec<String> = Key::list("http.tls.ciphersuites")
        .help("Cipher suites of TLS 1.2 that are offered, by their names in Go");
}

/// Versions below 1.2 are not supported; where one is configured, 1.2 is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Version {
    Old,
    #[default]
    Tls12,
    Tls13,
}

words! {
    ClientAuth:
    "require-and-verify-client-cert" => Self::RequireAndVerify,
    "verify-client-cert-if-given" => Self::VerifyIfGiven,
    "require-any-client-cert" => Self::RequireAny,
    "request-client-cert" => Self::Request,
}

words! {
    Version:
    "tls1.0" => Self::Old,
    "tls1.1" => Self::Old,
    "tls1.2" => Self::Tls12,
    "tls1.3" => Self::Tls13,
}

/// Reads the section. `None`: connections are not encrypted.
pub(super) fn read(root: &Section<'_>, http2: bool) -> Option<TlsOptions> {
    let certificate = path(root, CERTIFICATE);
    let key = path(root, KEY);
    let client_authorities: Vec<PathBuf> = root.get(CLIENT_CAS).into_iter().map(Into::into).collect();
    let client_auth = client_auth(root, !client_authorities.is_empty());
    let tls13_only = minimum(root) == Version::Tls13;
    let cipher_suites = cipher_suites(root, tls13_only);
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
            root.problem(KEY, "is missing: the file of the certificate's private key");
            None
        }
        (None, Some(_)) => {
            root.problem(
                CERTIFICATE,
                "is missing: without it this server would speak without encryption",
            );
            None
        }
        (None, None) => {
            if !client_authorities.is_empty() {
                root.problem(
                    CLIENT_CAS,
                    "needs `http.tls.certificate` and `http.tls.key`: without TLS every client gets in",
                );
            }
            None
        }
    }
}

fn path(root: &Section<'_>, key: Key<Option<String>>) -> Option<PathBuf> {
    root.get(key).map(Into::into)
}

fn client_auth(root: &Section<'_>, has_authorities: bool) -> ClientAuth {
    let Some(mode) = root.get(CLIENT_AUTH) else {
        return ClientAuth::default();
    };
    if !has_authorities {
        match mode {
            ClientAuth::RequireAndVerify | ClientAuth::RequireAny => root.problem(
                CLIENT_AUTH,
                "needs `http.tls.clientcas`, the CA certificates that clients' certificates are verified with: without it clients are not asked, and every client gets in",
            ),
            ClientAuth::VerifyIfGiven | ClientAuth::Request => root.warning(
                CLIENT_AUTH,
                "has no effect without `http.tls.clientcas`: clients are not asked for a certificate",
            ),
        }
    }
    mode
}

fn minimum(root: &Section<'_>) -> Version {
    let version = root.get(MINIMUM).unwrap_or_default();
    if version == Version::Old {
        root.warning(
            MINIMUM,
            "asks for a version that is not safe any more; TLS 1.2 is the oldest supported version",
        );
    }
    version
}

/// The configured cipher suites.
fn cipher_suites(root: &Section<'_>, tls13_only: bool) -> Vec<CipherSuite> {
    let names = root.get(CIPHER_SUITES);
    if tls13_only || names.is_empty() {
        return Vec::new();
    }
    let mut suites = Vec::new();
    let mut is_wrong = false;
    for name in &names {
        match name.parse::<CipherSuite>() {
            Ok(suite) => suites.push(suite),
            Err(error @ CipherSuiteError::Unsafe) => {
                root.warning(CIPHER_SUITES, &format!("lists `{name}`, which {error}"));
            }
            Err(error @ CipherSuiteError::Unknown) => {
                is_wrong = true;
                root.problem(
                    CIPHER_SUITES,
                    &format!("lists `{}`, which {error}", name.escape_debug()),
                );
            }
        }
    }
    if is_wrong {
        // Each unknown name has been reported.
    } else if suites.is_empty() {
        root.problem(CIPHER_SUITES, "lists none that can be offered");
    } else if suites.iter().all(|suite| suite.is_tls13()) {
        root.warning(
            CIPHER_SUITES,
            "lists none of TLS 1.2: clients that do not know TLS 1.3 cannot connect",
        );
    }
    suites
}
