//! Certificates of every kind, made in memory, and clients that trust some of them.

use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and those that lead to its authority.
    pub certificate: String,
    /// Its private key (PKCS#8).
    pub key: String,
}

/// The properties of a certificate to make.
#[derive(Debug, Clone)]
pub struct Wanted {
    params: CertificateParams,
    algorithm: &'static rcgen::SignatureAlgorithm,
}

/// The authorities that a client trusts, the certificate that it shows, and the protocols that it speaks.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Vec<String>,
    identity: Option<Identity>,
    alpn: Vec<&'static str>,
    version: Option<&'static SupportedProtocolVersion>,
    suite: Option<String>,
    /// Made once: a session is only resumed by the client that had it.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Wanted {
    /// A certificate for `localhost` and 127.0.0.1, valid from yesterday on for years.
    pub fn localhost() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        Self::of(CertificateParams::new(names).unwrap(), "localhost")
    }

    /// A certificate for a host of this name.
    pub fn host(name: &str) -> Self {
        Self::of(CertificateParams::new([name.to_owned()]).unwrap(), name)
    }

    /// A certificate for `localhost` by the common name alone, which clients no longer accept.
    pub fn common_name_only() -> Self {
        Self::of(CertificateParams::default(), "localhost")
    }

    /// A certificate for a client of this name.
    pub fn client(name: &str) -> Self {
        let mut wanted = Self::of(CertificateParams::default(), name);
        wanted.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        wanted
    }

    /// A certificate for a server of this name, and for no client.
    pub fn server(name: &str) -> Self {
        let mut wanted = Self::of(CertificateParams::default(), name);
        wanted.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted
    }

    /// Lets it sign certificates.
    pub fn authority(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    fn of(mut params: CertificateParams, common_name: &str) -> Self {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        Self {
            params,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }

    /// Makes it valid in these years only.
    pub fn valid(mut self, first: i32, last: i32) -> Self {
        self.params.not_before = rcgen::date_time_ymd(first, 1, 1);
        self.params.not_after = rcgen::date_time_ymd(last, 12, 31);
        self
    }

    /// Gives it an RSA key.
    pub fn rsa(mut self) -> Self {
        self.algorithm = &rcgen::PKCS_RSA_SHA256;
        self
    }

    /// Makes the certificate, signed by itself.
    pub fn self_signed(&self) -> Identity {
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        let certificate = self.params.self_signed(&key).unwrap();
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Makes the certificate, signed by `authority`, with the authority's certificate behind it.
    pub fn signed_by(&self, authority: &Authority) -> Identity {
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        let certificate = self.params.signed_by(&key, &authority.issuer).unwrap();
        Identity {
            certificate: format!("{}{}", certificate.pem(), authority.pem),
            key: key.serialize_pem(),
        }
    }
}

impl Wanted {
    /// Makes the certificate, signed with the key of `identity`, which was made as `issuer`, authority or not.
    pub fn signed_with(&self, issuer: &Self, identity: &Identity) -> Identity {
        let issuer = Issuer::new(issuer.params.clone(), KeyPair::from_pem(&identity.key).unwrap());
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        let certificate = self.params.signed_by(&key, &issuer).unwrap();
        Identity {
            certificate: format!("{}{}", certificate.pem(), identity.certificate),
            key: key.serialize_pem(),
        }
    }
}

impl Authority {
    /// An authority with a new key.
    pub fn new(name: &str) -> Self {
        let mut params = Wanted::of(CertificateParams::default(), name).params;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Certificate of the authority, as PEM.
    pub fn certificate(&self) -> &str {
        &self.pem
    }
}

impl Identity {
    pub(crate) fn server_config(&self) -> ServerConfig {
        let certificates = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates.map(Result::unwrap).collect(), key)
            .unwrap()
    }

    /// The certificate itself, without those that follow.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes())
            .unwrap()
            .to_vec()
    }
}

impl Trust {
    /// A client that trusts the first certificate of `pem`, and offers HTTP/2.
    pub fn in_certificate(pem: &str) -> Self {
        Self {
            roots: vec![pem.to_owned()],
            identity: None,
            alpn: vec!["h2", "http/1.1"],
            version: None,
            suite: None,
            config: Arc::default(),
        }
    }

    /// Trusts this authority as well.
    pub fn and(mut self, pem: &str) -> Self {
        self.roots.push(pem.to_owned());
        self.changed()
    }

    /// Presents this certificate when the server asks for one.
    pub fn showing(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self.changed()
    }

    /// Offers these protocols by ALPN.
    pub fn speaking(mut self, alpn: &[&'static str]) -> Self {
        self.alpn = alpn.to_vec();
        self.changed()
    }

    /// Offers TLS 1.2 only.
    pub fn tls12(mut self) -> Self {
        self.version = Some(&rustls::version::TLS12);
        self.changed()
    }

    /// Offers one cipher suite only, by its name in rustls.
    pub fn suite(mut self, name: &str) -> Self {
        self.suite = Some(name.to_owned());
        self.changed()
    }

    fn changed(mut self) -> Self {
        self.config = Arc::default();
        self
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| self.make_config()))
    }

    fn make_config(&self) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(name) = &self.suite {
            provider
                .cipher_suites
                .retain(|suite| format!("{:?}", suite.suite()) == *name);
        }
        let versions = self
            .version
            .map_or_else(|| rustls::ALL_VERSIONS.to_vec(), |version| vec![version]);
        Arc::new(self.config_with(provider, &versions))
    }

    fn config_with(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for pem in &self.roots {
            let root = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            roots.add(root).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some(Identity { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let chain = chain.collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}
