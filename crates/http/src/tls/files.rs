//! The files of `http.tls`: reading them, checking them against each other, and one error text for each fault.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{
    DistinguishedName, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::{CertifiedKey, SigningKey},
};

use super::{
    certificate::{Certificate, public_key_of_info},
    error::TlsError,
    signature,
};

/// A certificate chain and the key that belongs to it.
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// Reasons why clients may refuse the certificate.
    pub(super) warnings: Vec<String>,
    pub(super) not_after: Timestamp,
}

/// Reads certificate and key.
pub(super) fn identity(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Identity, TlsError> {
    let chain = certificates("http.tls.certificate", certificate)?;
    let signing_key = private_key(key, provider)?;
    let parsed: Vec<Option<Certificate<'_>>> = chain.iter().map(|der| Certificate::parse(der)).collect();
    let Some(Some(leaf)) = parsed.first() else {
        return Err(TlsError::new(format!(
            "the first certificate in `http.tls.certificate` `{}` is damaged",
            certificate.display()
        )));
    };
    let info = signing_key.public_key();
    if let Some(public_key) = info.as_deref().and_then(public_key_of_info)
        && public_key != leaf.public_key
    {
        let fits = |parsed: &Option<Certificate<'_>>| {
            parsed
                .as_ref()
                .is_some_and(|parsed| parsed.public_key == public_key)
        };
        let hint = match parsed.iter().position(fits) {
            Some(at) => format!(
                "; it fits number {} of the file: the server's own certificate must come first",
                at + 1
            ),
            None => String::new(),
        };
        return Err(TlsError::new(format!(
            "the key in `http.tls.key` `{}` does not belong to the certificate in `http.tls.certificate` `{}`{hint}",
            key.display(),
            certificate.display(),
        )));
    }
    let (warnings, not_after) = (complaints(leaf, certificate, Timestamp::now()), leaf.not_after);
    Ok(Identity {
        key: Arc::new(CertifiedKey::new(chain, signing_key)),
        warnings,
        not_after,
    })
}

/// Reasons why clients may refuse a certificate at the time `now`.
fn complaints(certificate: &Certificate<'_>, path: &Path, now: Timestamp) -> Vec<String> {
    let mut complaints = Vec::new();
    let path = path.display();
    if certificate.not_after < now {
        complaints.push(format!(
            "the certificate `{path}` expired at {}: clients refuse it",
            certificate.not_after
        ));
    }
    if certificate.not_before > now {
        complaints.push(format!(
            "the certificate `{path}` is not valid before {}: until then clients refuse it, unless this machine's clock is wrong",
            certificate.not_before
        ));
    }
    if certificate.names.is_empty() {
        let instead = match &certificate.common_name {
            Some(name) => format!(", only the common name `{}`", name.escape_debug()),
            None => String::new(),
        };
        complaints.push(format!(
            "the certificate `{path}` has no subject alternative name{instead}: Docker refuses it; make one that names the host, with `openssl req -addext subjectAltName=DNS:registry.example.com` for example"
        ));
    }
    complaints
}

/// The certificates of `clientcas`: authorities that sign the certificates of clients, and certificates that clients show
/// themselves.
pub(super) struct Authorities {
    /// Those that may sign. One that stands for its client alone must not admit others.
    pub(super) store: RootCertStore,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Names of the issuers that certificates of clients may have.
    issuers: Vec<DistinguishedName>,
}

impl Authorities {
    /// The names that clients choose their certificate by.
    pub(super) fn hints(&self) -> Vec<DistinguishedName> {
        let mut hints = self.issuers.clone();
        hints.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
        hints.dedup_by(|one, other| one.as_ref() == other.as_ref());
        hints
    }
}

/// Reads the certificates from all `paths`.
pub(super) fn authorities(paths: &[PathBuf], provider: &CryptoProvider) -> Result<Authorities, TlsError> {
    let mut authorities = Authorities {
        store: RootCertStore::empty(),
        certificates: Vec::new(),
        issuers: Vec::new(),
    };
    for path in paths {
        for (index, certificate) in certificates("http.tls.clientcas", path)?.into_iter().enumerate() {
            let cannot = |reason: &str| {
                TlsError::new(format!(
                    "certificate number {} in `http.tls.clientcas` `{}` cannot be used: {reason}",
                    index + 1,
                    path.display()
                ))
            };
            let parsed = Certificate::parse(&certificate).ok_or_else(|| cannot("it is damaged"))?;
            if !signature::is_usable_key(&parsed, &provider.signature_verification_algorithms) {
                return Err(cannot(
                    "it would let no client in, because its key is neither RSA of 2048 to 8192 bits, nor ECDSA on P-256, P-384 or P-521, nor Ed25519",
                ));
            }
            if parsed.is_authority {
                let added = authorities.store.add(certificate.clone());
                added.map_err(|error| cannot(&error.to_string()))?;
                authorities.issuers.push(name(parsed.subject));
            } else {
                authorities.issuers.push(name(parsed.issuer));
            }
            authorities.certificates.push(certificate);
        }
    }
    Ok(authorities)
}

fn name(der: &[u8]) -> DistinguishedName {
    DistinguishedName::from(der.to_vec())
}

/// All certificates in a file, in their order; at least one.
fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| not_pem(key, path, &bytes, &error))?;
    if !found.is_empty() {
        return Ok(found);
    }
    let hint = if holds(&bytes, "PRIVATE KEY-----") {
        "it holds a private key; are `certificate` and `key` exchanged?"
    } else {
        form_of(&bytes)
    };
    Err(TlsError::new(format!(
        "there is no certificate in `{key}` `{}`; {hint}",
        path.display()
    )))
}

/// Reads a private key, as PKCS#8, PKCS#1 or SEC1.
fn private_key(path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, TlsError> {
    let key = "http.tls.key";
    let bytes = read(key, path)?;
    // PKCS#8 has the word in the first line of the block, the older forms in a header below.
    if holds(&bytes, "ENCRYPTED") {
        return Err(TlsError::new(format!(
            "the private key in `{key}` `{}` is encrypted, and the server cannot ask for its password; `openssl pkey -in FILE -out PLAIN` decrypts it",
            path.display()
        )));
    }
    let found = match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(found) => found,
        Err(pem::Error::NoItemsFound) => {
            let hint = if holds(&bytes, "BEGIN CERTIFICATE-----") {
                "it holds a certificate; are `certificate` and `key` exchanged?"
            } else {
                form_of(&bytes)
            };
            return Err(TlsError::new(format!(
                "there is no private key in `{key}` `{}`; {hint}",
                path.display()
            )));
        }
        Err(error) => return Err(not_pem(key, path, &bytes, &error)),
    };
    provider.key_provider.load_private_key(found).map_err(|error| {
        tracing::debug!(%error, "a private key cannot be used");
        TlsError::new(format!(
            "the private key in `{key}` `{}` cannot be used: it is damaged, or neither RSA of 2048 to 8192 bits, nor ECDSA on P-256, P-384 or P-521, nor Ed25519",
            path.display()
        ))
    })
}

fn not_pem(key: &str, path: &Path, bytes: &[u8], error: &pem::Error) -> TlsError {
    TlsError::new(format!(
        "`{key}` `{}` is damaged ({error}); {}",
        path.display(),
        form_of(bytes)
    ))
}

fn form_of(bytes: &[u8]) -> &'static str {
    match bytes.first() {
        None => "the file is empty",
        // The first byte of every certificate and key in DER form.
        Some(0x30) => {
            "it seems to be in DER form, and PEM is needed: `openssl x509 -inform der` or `openssl pkey -inform der` converts it"
        }
        Some(_) => "a file in PEM form is needed, with lines such as `-----BEGIN CERTIFICATE-----`",
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "certificates are not in the store")]
fn read(key: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => ": the user that the registry runs as must be able to read it",
            _ => "",
        };
        TlsError::new(format!("cannot read `{key}` `{}`: {error}{hint}", path.display()))
    })
}
