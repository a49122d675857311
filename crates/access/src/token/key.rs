//! A public key in its one canonical form, and the names that token servers give it.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rsa::PublicKeyComponents,
    signature::{ParsedPublicKey, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use x509_parser::{
    oid_registry::OID_PKCS1_RSAENCRYPTION, prelude::FromDer as _, public_key::PublicKey as Parsed,
    x509::SubjectPublicKeyInfo,
};

use super::algorithm::{Algorithm, Kind};

/// Sizes of RSA keys, in bits: the library verifies no others.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What stands before the coordinates, or the key, in the `SubjectPublicKeyInfo` of a curve: its identifiers, and the
/// mark of an uncompressed point.
const CURVES: [(Kind, &[u8], usize); 4] = [
    (
        Kind::P256,
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
        64,
    ),
    (
        Kind::P384,
        b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04",
        96,
    ),
    (
        Kind::P521,
        b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04",
        132,
    ),
    (
        Kind::Ed25519,
        b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
        32,
    ),
];

/// A public key that the library has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    kind: Kind,
    /// `SubjectPublicKeyInfo` in DER. Equal keys have equal bytes, wherever they come from.
    info: Box<[u8]>,
}

/// Why a public key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFault {
    #[error("is neither RSA, nor EC on P-256, P-384 or P-521 with an uncompressed point, nor Ed25519")]
    Unsupported,
    #[error("is an RSA key of {0} bits; it must have 2048 to 8192")]
    RsaSize(usize),
    #[error("is damaged: its numbers are no {0} key")]
    Invalid(Kind),
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`, as certificates and PEM files have it.
    pub(super) fn from_info(der: &[u8]) -> Result<Self, KeyFault> {
        for (kind, prefix, _) in CURVES {
            if let Some(rest) = der.strip_prefix(prefix) {
                return Self::from_curve(kind, rest);
            }
        }
        let Ok((b"", info)) = SubjectPublicKeyInfo::from_der(der) else {
            return Err(KeyFault::Unsupported);
        };
        match info.parsed() {
            Ok(Parsed::RSA(key)) if info.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION => {
                Self::from_rsa(key.modulus, key.exponent)
            }
            _ => Err(KeyFault::Unsupported),
        }
    }

    /// A key on a curve: both coordinates of its point, or for Ed25519 its bytes.
    pub(super) fn from_curve(kind: Kind, bytes: &[u8]) -> Result<Self, KeyFault> {
        let curve = CURVES.iter().find(|(of, ..)| *of == kind);
        let (_, prefix, size) = curve.ok_or(KeyFault::Unsupported)?;
        if bytes.len() != *size {
            return Err(KeyFault::Invalid(kind));
        }
        let info: Box<[u8]> = [*prefix, bytes].concat().into();
        let algorithm = Algorithm::ALL.iter().find(|algorithm| algorithm.kind() == kind);
        let algorithm = algorithm.ok_or(KeyFault::Unsupported)?;
        // Whether the point lies on the curve.
        ParsedPublicKey::new(algorithm.verification(), &info).map_err(|_| KeyFault::Invalid(kind))?;
        Ok(Self { kind, info })
    }

    /// An RSA key, of its two numbers.
    pub(super) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyFault> {
        let (n, e) = (without_zeros(modulus), without_zeros(exponent));
        let bits = n
            .first()
            .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyFault::RsaSize(bits));
        }
        // The library takes an exponent of 1, with which each message is its own signature.
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !is_odd(n) || !is_odd(e) || e == [1] || e.len() > 4 {
            return Err(KeyFault::Invalid(Kind::Rsa));
        }
        let info: Result<PublicKeyX509Der<'_>, _> = PublicKeyComponents { n, e }.as_der();
        let info = info.map_err(|_| KeyFault::Invalid(Kind::Rsa))?;
        Ok(Self {
            kind: Kind::Rsa,
            info: info.as_ref().into(),
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether `signature` is that of `message`. The algorithm must fit the kind of the key.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm.kind() == self.kind
            && UnparsedPublicKey::new(algorithm.verification(), &self.info)
                .verify(message, signature)
                .is_ok()
    }

    /// The names that a token may call the key by.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut ids = vec![self.fingerprint()];
        ids.extend(self.thumbprints());
        ids
    }

    /// The name of libtrust, which registry:2 uses: 240 bits of a hash, as `ABCD:EFGH:…`.
    fn fingerprint(&self) -> String {
        let hash = Sha256::digest(&self.info);
        let letters = base32(&hash[..30]);
        let groups: Vec<&str> = (0..letters.len())
            .step_by(4)
            .map(|start| &letters[start..start + 4])
            .collect();
        groups.join(":")
    }

    /// The name of RFC 7638, which registry:3 uses. It leaves zeros at the start of coordinates out, so one key of 128 has
    /// another name there.
    fn thumbprints(&self) -> Vec<String> {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let texts = match self.kind {
            Kind::Rsa => {
                let (n, e) = self.rsa_numbers();
                vec![format!(
                    r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                    encoded(&e),
                    encoded(&n)
                )]
            }
            Kind::Ed25519 => {
                let x = encoded(self.curve_bytes());
                vec![format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)]
            }
            Kind::P256 | Kind::P384 | Kind::P521 => {
                let point = self.curve_bytes();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = self.curve_name();
                let text = |x: &[u8], y: &[u8]| {
                    format!(
                        r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
                        encoded(x),
                        encoded(y)
                    )
                };
                let mut texts = vec![text(x, y), text(without_zeros(x), without_zeros(y))];
                texts.dedup();
                texts
            }
        };
        let hashed = texts.iter().map(|text| encoded(&Sha256::digest(text.as_bytes())));
        hashed.collect()
    }

    /// Name of the curve in a JWK.
    fn curve_name(&self) -> &'static str {
        match self.kind {
            Kind::P256 => "P-256",
            Kind::P384 => "P-384",
            Kind::P521 => "P-521",
            Kind::Ed25519 => "Ed25519",
            Kind::Rsa => "",
        }
    }

    /// Both coordinates of the point, or the bytes of an Ed25519 key.
    fn curve_bytes(&self) -> &[u8] {
        let curve = CURVES.iter().find(|(kind, ..)| *kind == self.kind);
        curve
            .and_then(|(_, prefix, _)| self.info.strip_prefix(*prefix))
            .unwrap_or_default()
    }

    fn rsa_numbers(&self) -> (Vec<u8>, Vec<u8>) {
        let info = SubjectPublicKeyInfo::from_der(&self.info);
        match info.as_ref().map(|(_, info)| info.parsed()) {
            Ok(Ok(Parsed::RSA(key))) => (
                without_zeros(key.modulus).to_vec(),
                without_zeros(key.exponent).to_vec(),
            ),
            _ => Default::default(),
        }
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    &number[start..]
}

/// RFC 4648, section 6, of a whole number of groups of five bytes.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let groups = bytes.chunks_exact(5).flat_map(|group| {
        let number = group
            .iter()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        (0..8)
            .rev()
            .map(move |place| char::from(LETTERS[(number >> (5 * place) & 31) as usize]))
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
        assert_eq!(base32(&[0xff; 10]), "7777777777777777");
    }

    /// The example of RFC 7638, section 3.1, and of RFC 8037, appendix A.3.
    #[test]
    fn thumbprints_are_those_of_the_examples() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let n = URL_SAFE_NO_PAD.decode(n).unwrap();
        let key = PublicKey::from_rsa(&n, &[1, 0, 1]).unwrap();
        assert_eq!(key.ids()[1..], ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]);
        assert_eq!(PublicKey::from_info(&key.info).unwrap(), key);

        let x = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        let key = PublicKey::from_curve(Kind::Ed25519, &x).unwrap();
        assert_eq!(key.ids()[1..], ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]);
        assert_eq!(PublicKey::from_info(&key.info).unwrap(), key);
    }

    /// The key of the signature in registry:2's description of manifests of schema 1.
    #[test]
    fn a_fingerprint_is_that_of_libtrust() {
        let decoded = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
        let x = decoded("3gAwX48IQ5oaYQAYSxor6rYYc_6yjuLCjtQ9LUakg4A");
        let y = decoded("t72ge6kIA1XOjqjVoEOiPPAURltJFBMGDSQvEGVB010");
        let key = PublicKey::from_curve(Kind::P256, &[x, y].concat()).unwrap();
        assert_eq!(
            key.ids()[0],
            "OD6I:6DRK:JXEJ:KBM4:255X:NSAA:MUSF:E4VM:ZI6W:CUN2:L4Z6:LSF4"
        );
    }

    /// RFC 7638 has them in full, registry:3 has them short.
    #[test]
    fn a_coordinate_that_begins_with_a_zero_has_two_thumbprints() {
        let points = std::iter::repeat_with(|| {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            pair.public_key().as_ref()[1..].to_vec()
        });
        let mut keys = points.map(|point| {
            let begins = point[0] == 0 || point[32] == 0;
            (begins, PublicKey::from_curve(Kind::P256, &point).unwrap())
        });
        let (_, key) = keys.find(|(begins, _)| *begins).unwrap();
        let (x, y) = key.curve_bytes().split_at(32);
        let [x, y] = [x, y].map(|number| {
            let short = number.iter().skip_while(|&&byte| byte == 0);
            URL_SAFE_NO_PAD.encode(short.copied().collect::<Vec<u8>>())
        });
        let short = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let ids = key.ids();
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[2], URL_SAFE_NO_PAD.encode(Sha256::digest(short)));
        let (_, other) = keys.find(|(begins, _)| !*begins).unwrap();
        assert_eq!(other.ids().len(), 2);
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        for (kind, _, size) in CURVES.iter().take(3) {
            assert_eq!(
                PublicKey::from_curve(*kind, &vec![1; *size]),
                Err(KeyFault::Invalid(*kind))
            );
            assert_eq!(
                PublicKey::from_curve(*kind, &vec![1; size - 1]),
                Err(KeyFault::Invalid(*kind))
            );
        }
    }

    #[test]
    fn an_rsa_key_that_can_be_factored_is_refused() {
        let mut modulus = vec![0xff; 128];
        assert_eq!(
            PublicKey::from_rsa(&modulus, &[1, 0, 1]),
            Err(KeyFault::RsaSize(1024))
        );
        modulus.resize(1025, 0xff);
        assert_eq!(
            PublicKey::from_rsa(&modulus, &[1, 0, 1]),
            Err(KeyFault::RsaSize(8200))
        );
        assert_eq!(PublicKey::from_rsa(&[0, 0], &[3]), Err(KeyFault::RsaSize(0)));
        let invalid = Err(KeyFault::Invalid(Kind::Rsa));
        for exponent in [&[][..], &[0], &[0, 1], &[2], &[1, 0, 0, 0, 1]] {
            assert_eq!(
                PublicKey::from_rsa(&[0xff; 256], exponent),
                invalid,
                "{exponent:?}"
            );
        }
        assert_eq!(PublicKey::from_rsa(&[0xfe; 256], &[3]), invalid);
        assert!(PublicKey::from_rsa(&[0xff; 256], &[3]).is_ok());
    }
}
