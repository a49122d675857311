//! A token server: keys of every kind, the tokens that they sign, and certificates for them.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _, RsaKeySize,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wharf_access::token::{Algorithms, Realm, Settings, TrustedKeys, Verifier};
use x509_parser::{prelude::FromDer as _, public_key::PublicKey, x509::SubjectPublicKeyInfo};

pub(crate) const ISSUER: &str = "Acme auth server";
pub(crate) const SERVICE: &str = "registry.example.com";
pub(crate) const REALM: &str = "https://auth.example.com/token";

/// Seconds since 1970 at the time of every test.
pub(crate) const NOW: i64 = 1_800_000_000;

/// A key pair, used with one algorithm.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    pub(crate) pair: KeyPair,
}

impl Signer {
    pub(crate) fn new(algorithm: &'static str) -> Self {
        let pair = match algorithm {
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)
            }
            "ES256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            "ES384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            "ES512" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            "EdDSA" => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            other => panic!("no such algorithm: {other}"),
        };
        Self {
            algorithm,
            pair: pair.unwrap(),
        }
    }

    /// A token with this header (to which `alg` is added, unless it is there) and these claims.
    pub(crate) fn token(&self, header: Value, claims: &Value) -> Vec<u8> {
        self.token_of_bytes(header, claims.to_string().as_bytes())
    }

    pub(crate) fn token_of_bytes(&self, mut header: Value, claims: &[u8]) -> Vec<u8> {
        let alg = header.as_object_mut().unwrap().entry("alg");
        alg.or_insert_with(|| self.algorithm.into());
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}").into_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pkcs8 = self.pair.serialized_der();
        let rsa = |encoding| {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
                .unwrap();
            signature
        };
        let ec = |algorithm: &'static EcdsaSigningAlgorithm| {
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap();
            pair.sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec()
        };
        match self.algorithm {
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "PS384" => rsa(&signature::RSA_PSS_SHA384),
            "PS512" => rsa(&signature::RSA_PSS_SHA512),
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).unwrap();
                pair.sign(message).as_ref().to_vec()
            }
        }
    }

    /// The public key as a JSON Web Key, without an id.
    pub(crate) fn jwk(&self) -> Value {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let raw = self.pair.der_bytes();
        let curve = |name: &str| {
            let (x, y) = raw[1..].split_at(raw.len() / 2);
            json!({"kty": "EC", "crv": name, "x": encoded(x), "y": encoded(y)})
        };
        match self.algorithm {
            "ES256" => curve("P-256"),
            "ES384" => curve("P-384"),
            "ES512" => curve("P-521"),
            "EdDSA" => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}),
            _ => {
                let info = self.pair.subject_public_key_info();
                let (_, info) = SubjectPublicKeyInfo::from_der(&info).unwrap();
                let Ok(PublicKey::RSA(key)) = info.parsed() else {
                    panic!("no RSA key");
                };
                // Numbers in DER begin with a zero when their first bit is set.
                let n = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
                let e = key.exponent;
                json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)})
            }
        }
    }

    /// The id of RFC 7638: the members that make the key, in the order of their names, hashed.
    pub(crate) fn thumbprint(&self) -> String {
        // A map of `serde_json` is sorted.
        let text = self.jwk().to_string();
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// The id of libtrust.
    pub(crate) fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.pair.subject_public_key_info());
        let bits: Vec<u8> = hash[..30]
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1))
            .collect();
        let letter = |bits: &[u8]| {
            let number = bits.iter().fold(0, |number, bit| number << 1 | bit);
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(number)])
        };
        let letters: Vec<char> = bits.chunks(5).map(letter).collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join(":")
    }

    pub(crate) fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// A certificate that the key signs itself.
    pub(crate) fn self_signed(&self, wanted: &Wanted) -> rcgen::Certificate {
        wanted.params().self_signed(&self.pair).unwrap()
    }

    /// A certificate for `key`, signed by this one, whose own certificate is as wanted in `own`.
    pub(crate) fn certify(&self, own: &Wanted, key: &Signer, wanted: &Wanted) -> rcgen::Certificate {
        let issuer = Issuer::from_params(own.params_ref(), &self.pair);
        wanted.params().signed_by(&key.pair, &issuer).unwrap()
    }
}

/// The properties of a certificate. Dates are years around that of [`NOW`].
#[derive(Clone)]
pub(crate) struct Wanted(CertificateParams);

impl Wanted {
    pub(crate) fn leaf(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2028, 1, 1);
        Self(params)
    }

    pub(crate) fn authority(name: &str) -> Self {
        let mut wanted = Self::leaf(name);
        wanted.0.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted
    }

    pub(crate) fn years(mut self, from: i32, until: i32) -> Self {
        self.0.not_before = rcgen::date_time_ymd(from, 1, 1);
        self.0.not_after = rcgen::date_time_ymd(until, 1, 1);
        self
    }

    fn params(&self) -> CertificateParams {
        self.0.clone()
    }

    fn params_ref(&self) -> &CertificateParams {
        &self.0
    }
}

/// `x5c` of these certificates.
pub(crate) fn x5c(chain: &[&rcgen::Certificate]) -> Value {
    chain
        .iter()
        .map(|certificate| STANDARD.encode(certificate.der()))
        .collect()
}

/// Claims as docker_auth makes them.
pub(crate) fn claims(access: &Value) -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE,
        "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW, "jti": "tYJCO1c6cnyy7kAn0c7rKPgbV1H1bFws",
        "access": access,
    })
}

/// The right to pull `team/app`.
pub(crate) fn pull() -> Value {
    json!([{"type": "repository", "name": "team/app", "actions": ["pull"]}])
}

/// Claims as docker_auth makes them, with one of them changed.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims(&pull());
    claims[name] = value;
    claims
}

pub(crate) fn settings() -> Settings {
    Settings {
        realm: Realm::Fixed(REALM.to_owned()),
        service: SERVICE.to_owned(),
        issuer: ISSUER.to_owned(),
        algorithms: Algorithms::default(),
    }
}

pub(crate) fn now() -> SystemTime {
    at(NOW)
}

pub(crate) fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

/// A verifier that trusts this bundle.
pub(crate) fn trusting(bundle: &str) -> Verifier {
    let mut keys = TrustedKeys::default();
    assert_eq!(keys.add_bundle(bundle.as_bytes()).unwrap(), []);
    Verifier::new(settings(), keys)
}

/// A verifier that trusts these JSON Web Keys.
pub(crate) fn trusting_jwks(keys: &[Value]) -> Verifier {
    let mut trusted = TrustedKeys::default();
    let document = json!({ "keys": keys }).to_string();
    assert_eq!(trusted.add_jwks(document.as_bytes()).unwrap(), []);
    Verifier::new(settings(), trusted)
}
