//! The contents of the files of `http.tls`: parsing them, checking them against each other, and one error text for each fault.

use std::{fmt, path::Path, sync::Arc};

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

/// A file of `http.tls` that was read.
pub(super) struct PemFile<'a> {
    /// Its key in the configuration: `http.tls.key`
    pub(super) key: &'static str,
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
}

/// Names the file in an error.
impl fmt::Display for PemFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` `{}`", self.key, self.path.display())
    }
}

/// A certificate chain and the key that belongs to it.
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// Reasons why clients may refuse the certificate.
    pub(super) warnings: Vec<String>,
    pub(super) not_after: Timestamp,
}

/// Parses certificate and key.
pub(super) fn identity(
    certificate: &PemFile<'_>,
    key: &PemFile<'_>,
    provider: &CryptoProvider,
) -> Result<Identity, TlsError> {
    let chain = certificates(certificate)?;
    let signing_key = private_key(key, provider)?;
    let parsed: Vec<Option<Certificate<'_>>> = chain.iter().map(|der| Certificate::parse(der)).collect();
    let Some(Some(leaf)) = parsed.first() else {
        return Err(TlsError::new(format!(
            "the first certificate in {certificate} is damaged"
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
            "the key in {key} does not belong to the certificate in {certificate}{hint}"
        )));
    }
    let (warnings, not_after) = (
        complaints(leaf, certificate.path, Timestamp::now()),
        leaf.not_after,
    );
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

/// Parses the certificates in all `files`.
pub(super) fn authorities(files: &[PemFile<'_>], provider: &CryptoProvider) -> Result<Authorities, TlsError> {
    let mut authorities = Authorities {
        store: RootCertStore::empty(),
        certificates: Vec::new(),
        issuers: Vec::new(),
    };
    for file in files {
        for (index, certificate) in certificates(file)?.into_iter().enumerate() {
            let cannot = |reason: &str| {
                TlsError::new(format!(
                    "certificate number {} in {file} cannot be used: {reason}",
                    index + 1
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
fn certificates(file: &PemFile<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file.bytes).collect();
    let found = found.map_err(|error| not_pem(file, &error))?;
    if !found.is_empty() {
        return Ok(found);
    }
    let hint = if holds(file.bytes, "PRIVATE KEY-----") {
        "it holds a private key; are `certificate` and `key` exchanged?"
    } else {
        form_of(file.bytes)
    };
    Err(TlsError::new(format!(
        "there is no certificate in {file}; {hint}"
    )))
}

/// Parses a private key, as PKCS#8, PKCS#1 or SEC1.
fn private_key(file: &PemFile<'_>, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, TlsError> {
    // PKCS#8 has the word in the first line of the block, the older forms in a header below.
    if holds(file.bytes, "ENCRYPTED") {
        return Err(TlsError::new(format!(
            "the private key in {file} is encrypted, and the server cannot ask for its password; `openssl pkey -in FILE -out PLAIN` decrypts it"
        )));
    }
    let found = match PrivateKeyDer::from_pem_slice(file.bytes) {
        Ok(found) => found,
        Err(pem::Error::NoItemsFound) => {
            let hint = if holds(file.bytes, "BEGIN CERTIFICATE-----") {
                "it holds a certificate; are `certificate` and `key` exchanged?"
            } else {
                form_of(file.bytes)
            };
            return Err(TlsError::new(format!(
                "there is no private key in {file}; {hint}"
            )));
        }
        Err(error) => return Err(not_pem(file, &error)),
    };
    provider.key_provider.load_private_key(found).map_err(|error| {
        tracing::debug!(%error, "a private key cannot be used");
        TlsError::new(format!(
            "the private key in {file} cannot be used: it is damaged, or neither RSA of 2048 to 8192 bits, nor ECDSA on P-256, P-384 or P-521, nor Ed25519"
        ))
    })
}

fn not_pem(file: &PemFile<'_>, error: &pem::Error) -> TlsError {
    TlsError::new(format!("{file} is damaged ({error}); {}", form_of(file.bytes)))
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
