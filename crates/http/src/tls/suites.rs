//! Cipher suites by their names in Go, as `http.tls.ciphersuites` lists them.

use rustls::{
    SupportedCipherSuite,
    crypto::aws_lc_rs::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    },
};

/// A supported cipher suite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CipherSuite(pub(super) SupportedCipherSuite);

/// Reason why a name is not a [`CipherSuite`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherSuiteError {
    /// registry:2 supports the suite, and it is no longer safe: static RSA keys, CBC, RC4 or 3DES.
    #[error("is not safe any more and not offered")]
    Unsafe,
    /// The name is unknown.
    #[error("is no cipher suite that is known here; `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is one")]
    Unknown,
}

const OFFERED: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", TLS13_CHACHA20_POLY1305_SHA256),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Suites that registry:2 supports and wharf does not.
const UNSAFE: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

impl CipherSuite {
    /// Whether it belongs to TLS 1.3, whose suites are always offered: in Go they cannot be chosen either.
    pub fn is_tls13(self) -> bool {
        self.0.tls13().is_some()
    }
}

impl std::str::FromStr for CipherSuite {
    type Err = CipherSuiteError;

    fn from_str(name: &str) -> Result<Self, CipherSuiteError> {
        match OFFERED.iter().find(|(offered, _)| *offered == name) {
            Some((_, suite)) => Ok(Self(*suite)),
            None if UNSAFE.contains(&name) => Err(CipherSuiteError::Unsafe),
            None => Err(CipherSuiteError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_suite_under_the_name_of_its_own() {
        let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
        assert_eq!(OFFERED.len(), all.len());
        for (name, suite) in OFFERED {
            let ours = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
            assert_eq!(*name, ours);
        }
    }

    #[test]
    fn other_names_are_told_apart() {
        let check = |name: &str| name.parse::<CipherSuite>();
        assert!(check("TLS_AES_128_GCM_SHA256").unwrap().is_tls13());
        assert!(!check("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").unwrap().is_tls13());
        assert_eq!(
            check("TLS_RSA_WITH_AES_128_CBC_SHA"),
            Err(CipherSuiteError::Unsafe)
        );
        assert_eq!(
            check("ECDHE-RSA-AES128-GCM-SHA256"),
            Err(CipherSuiteError::Unknown)
        );
    }
}
