//! The secret of a browser, and what can be derived from it without telling it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::random::{self, NoRandomness};

/// Length of a secret as text: 256 bits in base64url.
const LENGTH: usize = 43;

/// Bytes of a proof: half of the MAC, as is usual (RFC 2104, section 5).
const PROOF: usize = 16;

/// 256 random bits that a browser keeps in a cookie.
///
/// Nothing but the cookie has it: the store has its [hash](Self::hash), pages have [proofs](Self::proof) of it. From neither can it be
/// found, because nothing shorter than the secret itself can be guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// A text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no secret of a browser")]
pub struct SecretError;

/// What finds a secret in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl Hash {
    /// As it stands in the document, and in lists.
    pub(super) fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn of_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`]
    pub fn new() -> Result<Self, NoRandomness> {
        random::bytes().map(Self)
    }

    pub(super) fn hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(b"wharf: a session\0");
        hasher.update(self.0);
        Hash(hasher.finalize().into())
    }

    /// The identifier of its session in [lists](super::Sessions::of_account).
    pub fn id(&self) -> String {
        self.hash().to_text()
    }

    /// The secret as text, for a cookie and for nothing else.
    pub fn to_cookie(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// A text that proves to [`proves`](Self::proves) that its bearer has read a page which was made for this browser and for
    /// `purpose`.
    ///
    /// Each call gives another text: it is hidden behind random bits that stand beside it. A page that is compressed together with
    /// what an attacker chose has another length when both are alike (BREACH), and so a text that is always the same could be found
    /// out, byte by byte, from the lengths of many answers.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`]
    pub fn proof(&self, purpose: &str) -> Result<String, NoRandomness> {
        let pad: [u8; PROOF] = random::bytes()?;
        let mut text = [0; 2 * PROOF];
        let (first, second) = text.split_at_mut(PROOF);
        first.copy_from_slice(&pad);
        for (to, (pad, mac)) in second.iter_mut().zip(pad.iter().zip(self.mac(purpose))) {
            *to = pad ^ mac;
        }
        Ok(URL_SAFE_NO_PAD.encode(text))
    }

    /// Whether `text` is a [`proof`](Self::proof) for `purpose`. Takes the same time for every text of the right length.
    pub fn proves(&self, purpose: &str, text: &str) -> bool {
        let mut bytes = [0; 2 * PROOF];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(length) if length == bytes.len() => {}
            _ => return false,
        }
        let (pad, masked) = bytes.split_at(PROOF);
        let mut found = [0; PROOF];
        for (to, (pad, masked)) in found.iter_mut().zip(pad.iter().zip(masked)) {
            *to = pad ^ masked;
        }
        found.ct_eq(&self.mac(purpose)).into()
    }

    fn mac(&self, purpose: &str) -> [u8; PROOF] {
        let mut block = [0; 64];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"wharf: a proof of a browser\0");
        mac.update(purpose.as_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut half = [0; PROOF];
        half.copy_from_slice(&whole[..PROOF]);
        half
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        if text.len() != LENGTH {
            return Err(SecretError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SecretError)?;
        bytes.try_into().map(Self).map_err(|_| SecretError)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_secret_and_for_one_purpose() {
        let (secret, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        let proof = secret.proof("forms").unwrap();
        assert!(secret.proves("forms", &proof));
        assert!(!other.proves("forms", &proof));
        assert!(!secret.proves("notices", &proof));
        assert_ne!(proof, secret.proof("forms").unwrap(), "each has its own pad");
        for place in 0..proof.len() - 1 {
            let mut bytes = proof.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!secret.proves("forms", &changed), "{place}");
        }
        for text in ["", "A", &"A".repeat(43), &"A".repeat(1000), "ü", &proof[1..]] {
            assert!(!secret.proves("forms", text), "{text}");
        }
    }

    #[test]
    fn a_secret_goes_into_a_cookie_and_into_no_log() {
        let secret = Secret::new().unwrap();
        assert_eq!(secret.to_cookie().parse(), Ok(secret.clone()));
        assert!(
            secret
                .to_cookie()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret Hash");
        for text in [
            "",
            "A",
            &"A".repeat(42),
            &"A".repeat(44),
            &"!".repeat(43),
            &"ü".repeat(43),
        ] {
            assert_eq!(text.parse::<Secret>(), Err(SecretError), "{text}");
        }
    }
}
