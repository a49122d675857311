//! Whom we trust where we are the client.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tokio_rustls::TlsConnector;

/// Nobody can be asked over TLS.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrustError {
    /// There is nobody to trust.
    #[error(
        "no certificate authorities are installed, so `https` cannot be checked; install `ca-certificates`, or set `SSL_CERT_FILE`"
    )]
    NoRoots,
    /// The TLS library refuses.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trusts whom this machine trusts (or `SSL_CERT_FILE` and `SSL_CERT_DIR` name), as registry:2 does: servers inside
/// a company have certificates of its own authority.
pub fn connector() -> Result<TlsConnector, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read certificate authorities");
    }
    let mut roots = RootCertStore::empty();
    let (added, _damaged) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(TrustError::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
