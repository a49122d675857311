//! A token server such as docker_auth: keys of every kind, the tokens that they sign, and certificates for them.

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

pub use rcgen::Certificate;

/// A key pair, used with one algorithm.
#[derive(Debug)]
pub struct Signer {
    algorithm: &'static str,
    pair: KeyPair,
}

impl Signer {
    /// A new key pair for an algorithm of RFC 7518, such as `RS256`.
    pub fn new(algorithm: &'static str) -> Self {
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

    /// The same key pair, used with another algorithm of its kind.
    #[must_use]
    pub fn with(mut self, algorithm: &'static str) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// A token with this header (to which `alg` is added, unless it is there) and these claims.
    pub fn token(&self, header: Value, claims: &Value) -> Vec<u8> {
        self.token_of_bytes(header, claims.to_string().as_bytes())
    }

    /// A token whose claims are any bytes.
    pub fn token_of_bytes(&self, mut header: Value, claims: &[u8]) -> Vec<u8> {
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

    fn sign(&self, message: &[u8]) -> Vec<u8> {
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
    pub fn jwk(&self) -> Value {
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
                // `RSAPublicKey` of 2048 bits: two headers, a zero, the modulus, a header, the exponent.
                assert_eq!(raw.len(), 270);
                let (n, e) = (&raw[9..265], &raw[267..]);
                json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)})
            }
        }
    }

    /// The id of RFC 7638: the members that make the key, in the order of their names, hashed.
    pub fn thumbprint(&self) -> String {
        // A map of `serde_json` is sorted.
        let text = self.jwk().to_string();
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// The id of libtrust.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.public_info());
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

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// The public key as a `SubjectPublicKeyInfo` in DER.
    pub fn public_info(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The private key in PEM (PKCS#8).
    pub fn private_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// A certificate that the key signs itself.
    pub fn self_signed(&self, wanted: &Wanted) -> Certificate {
        wanted.0.self_signed(&self.pair).unwrap()
    }

    /// A certificate for `key`, signed by this one, whose own certificate is as wanted in `own`.
    pub fn certify(&self, own: &Wanted, key: &Signer, wanted: &Wanted) -> Certificate {
        let issuer = Issuer::from_params(&own.0, &self.pair);
        wanted.0.signed_by(&key.pair, &issuer).unwrap()
    }
}

/// The time in whole seconds since 1970, as claims have it.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

/// The properties of a certificate.
#[derive(Debug, Clone)]
pub struct Wanted(CertificateParams);

impl Wanted {
    /// A certificate of this name that is no authority, from 2020 to 2040.
    pub fn leaf(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(params).years(2020, 2040)
    }

    /// The certificate of an authority, from 2020 to 2040.
    pub fn authority(name: &str) -> Self {
        let mut wanted = Self::leaf(name);
        wanted.0.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted
    }

    /// Valid from the first day of one year to that of another.
    #[must_use]
    pub fn years(mut self, from: i32, until: i32) -> Self {
        self.0.not_before = rcgen::date_time_ymd(from, 1, 1);
        self.0.not_after = rcgen::date_time_ymd(until, 1, 1);
        self
    }
}

/// The member `x5c` of a header, with these certificates.
pub fn x5c(chain: &[&Certificate]) -> Value {
    chain
        .iter()
        .map(|certificate| STANDARD.encode(certificate.der()))
        .collect()
}
