//! What the files of `http.tls` say to clients, for the operator.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{certificate::Certificate, signature};

/// A certificate that a server would show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedCertificate {
    /// Reasons why clients would refuse it
    pub warnings: Vec<String>,
    /// The names and addresses of hosts that it is for
    pub names: Vec<String>,
    /// Time until which clients accept it
    pub not_after: Timestamp,
    /// Whether it is signed with its own key, so that clients must be told to trust it
    pub is_self_signed: bool,
    /// Number, counted from 1, of the first certificate in the file that the next one has not signed
    pub gap: Option<usize>,
    chain: Vec<CertificateDer<'static>>,
}

impl InspectedCertificate {
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        warnings: Vec<String>,
        not_after: Timestamp,
    ) -> Self {
        let signs = |signed: &[u8], issuer: &[u8]| {
            Certificate::parse(issuer).is_some_and(|issuer| has_signed(&issuer, signed))
        };
        let pairs = chain.windows(2).map(|pair| signs(&pair[0], &pair[1]));
        let gap = pairs
            .enumerate()
            .find_map(|(at, is_signed)| (!is_signed).then_some(at + 1));
        let own = chain.first().map(|der| &**der).unwrap_or_default();
        Self {
            warnings,
            names: Certificate::parse(own).map(|own| own.names).unwrap_or_default(),
            not_after,
            is_self_signed: signs(own, own),
            gap,
            chain,
        }
    }

    /// Whether it is for the host `name`, as clients compare: a wildcard stands for one label.
    pub fn is_for(&self, name: &str) -> bool {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        self.names.iter().any(|own| match name.parse::<IpAddr>() {
            Ok(address) => own.parse() == Ok(address),
            Err(_) => is_name(own, name),
        })
    }

    /// Whether clients that trust the certificates in `pem`, and no others, trust this one.
    pub fn is_trusted_by(&self, pem: &[u8]) -> bool {
        let trusted = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        trusted.into_iter().any(|trusted| {
            let issuer = Certificate::parse(&trusted).filter(|issuer| issuer.is_authority);
            self.chain
                .iter()
                .any(|own| *own == trusted || issuer.as_ref().is_some_and(|issuer| has_signed(issuer, own)))
        })
    }
}

pub(super) fn has_signed(issuer: &Certificate<'_>, signed: &[u8]) -> bool {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    signature::is_signed_by(signed, issuer, &algorithms)
}

fn is_name(own: &str, name: &str) -> bool {
    let (own, name) = (own.to_ascii_lowercase(), name.to_ascii_lowercase());
    match own.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, above)| above == rest),
        None => own == name,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn inspected(chain: Vec<CertificateDer<'static>>) -> InspectedCertificate {
        InspectedCertificate::new(chain, Vec::new(), Timestamp::MAX)
    }

    #[test]
    fn names_are_compared_as_clients_do() {
        let names = ["registry.example.com", "*.example.org", "127.0.0.1", "::1"];
        let params = CertificateParams::new(names.map(str::to_owned).to_vec()).unwrap();
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let inspected = inspected(vec![own.der().clone()]);
        assert_eq!(inspected.names, names);
        for name in ["Registry.example.com", "a.example.org", "127.0.0.1", "[::1]"] {
            assert!(inspected.is_for(name), "{name}");
        }
        for name in ["example.com", "example.org", "a.b.example.org", "127.0.0.2", ""] {
            assert!(!inspected.is_for(name), "{name}");
        }
        assert!(inspected.is_self_signed && inspected.is_trusted_by(own.pem().as_bytes()));
        let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(!inspected.is_trusted_by(other.pem().as_bytes()));
        assert!(!inspected.is_trusted_by(b"no certificate"));
    }

    #[test]
    fn each_certificate_is_signed_by_the_next() {
        let params = |name: &str, is_authority| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            if is_authority {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            params
        };
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = params("root", true).self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params("root", true), root_key);
        let own = params("a.example", false).signed_by(&key, &issuer).unwrap();
        let other = params("b.example", false).self_signed(&key).unwrap();

        let good = inspected(vec![own.der().clone(), root.der().clone()]);
        assert_eq!((good.gap, good.is_self_signed), (None, false));
        let alone = inspected(vec![own.der().clone()]);
        assert!(alone.is_trusted_by(root.pem().as_bytes()));
        assert!(!alone.is_trusted_by(other.pem().as_bytes()));
        let wrong = inspected(vec![own.der().clone(), other.der().clone()]);
        assert_eq!(wrong.gap, Some(1));
    }
}
