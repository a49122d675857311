//! The signature algorithms of tokens (RFC 7518, section 3.1; RFC 8037), each with the one kind of key that it fits.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{self, VerificationAlgorithm};

/// A signature algorithm. There is none with a shared secret: a key that verifies would be a key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7518")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// The algorithms that a server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithms(u16);

/// Why a name is not that of an algorithm which can be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// `none`: a token without a signature.
    #[error("`none` means a token without a signature, which every client can make; remove it")]
    Unsigned,
    /// `HS256` and the like.
    #[error(
        "`{0}` signs with a secret that this server would have to share with the token server; use `RS256`, `ES256` or `EdDSA`"
    )]
    Shared(String),
    /// Any other name.
    #[error("{0:?} is no signature algorithm; known are {names}", names = Names(Algorithm::ALL))]
    Unknown(String),
}

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] = &[
        Self::EdDsa,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    /// The name in the header of a token, and in `auth.token.signingalgorithms`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The only kind of key that can verify it.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Kind::Rsa,
            Self::Es256 => Kind::P256,
            Self::Es384 => Kind::P384,
            Self::Es512 => Kind::P521,
            Self::EdDsa => Kind::Ed25519,
        }
    }

    pub(super) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::EdDsa => &signature::ED25519,
        }
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(name: &str) -> Result<Self, AlgorithmError> {
        let known = Self::ALL.iter().find(|algorithm| algorithm.as_str() == name);
        known.copied().ok_or_else(|| match name {
            "HS256" | "HS384" | "HS512" => AlgorithmError::Shared(name.to_owned()),
            _ if name.eq_ignore_ascii_case("none") => AlgorithmError::Unsigned,
            _ => AlgorithmError::Unknown(name.chars().take(32).collect()),
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Algorithms {
    /// The algorithms of `auth.token.signingalgorithms`; an empty list is all of them, as in registry:3.
    ///
    /// # Errors
    ///
    /// [`AlgorithmError`] for the first name that is not that of one.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, AlgorithmError> {
        let algorithms: Result<Self, _> = names.into_iter().map(str::parse::<Algorithm>).collect();
        algorithms.map(|named| if named.0 == 0 { Self::default() } else { named })
    }

    /// Whether `algorithm` is accepted.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & Self::bit(algorithm) != 0
    }

    fn bit(algorithm: Algorithm) -> u16 {
        1 << algorithm as u16
    }
}

/// Every algorithm, as registry:3 has it, but for those with a shared secret.
impl Default for Algorithms {
    fn default() -> Self {
        Algorithm::ALL.iter().copied().collect()
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        let bits = algorithms.into_iter().map(Self::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::P256 => "EC P-256",
            Self::P384 => "EC P-384",
            Self::P521 => "EC P-521",
            Self::Ed25519 => "Ed25519",
        })
    }
}

struct Names(&'static [Algorithm]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, algorithm) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}`{algorithm}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_has_the_name_that_registry_3_gives_it() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert!(Algorithms::default().contains(algorithm));
        }
        let one = Algorithms::named(["ES256"]).unwrap();
        assert_eq!(Algorithms::named([]), Ok(Algorithms::default()));
        assert!(Algorithms::named(["ES256", "HS256"]).is_err());
        assert!(one.contains(Algorithm::Es256) && !one.contains(Algorithm::Es384));
    }

    #[test]
    fn an_algorithm_without_a_key_of_its_own_cannot_be_named() {
        for (name, error) in [
            ("none", "without a signature"),
            ("NONE", "without a signature"),
            ("HS256", "`HS256` signs with a secret"),
            ("rs256", "known are `EdDSA`, `RS256`"),
            ("", "is no signature algorithm"),
        ] {
            let text = name.parse::<Algorithm>().unwrap_err().to_string();
            assert!(text.contains(error), "{name}: {text}");
        }
    }
}
