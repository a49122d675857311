//! The text of a robot token: recognisable by scanners, and by a checksum before anything is looked up.
//!
//! `wharf_`, 40 random letters and digits (238 bits), and 6 more that are the CRC-32 of all before them in base 62, with the
//! digits `0-9A-Za-z`. The pattern is `\bwharf_[0-9A-Za-z]{46}\b`.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::password::{self, NoRandomness};

/// What every robot token begins with.
pub const PREFIX: &str = "wharf_";

/// Number of random characters.
const RANDOM: usize = 40;

/// Number of characters of the checksum: 62⁶ is more than 2³².
const CHECKSUM: usize = 6;

const LENGTH: usize = PREFIX.len() + RANDOM + CHECKSUM;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A robot token, which is shown once. Only its hash is kept.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// The hash by which a robot token is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl Secret {
    /// A new token.
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let random = Zeroizing::new(password::generate(RANDOM)?);
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        text.push_str(&random);
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.map(char::from));
        Ok(Self(text))
    }

    /// The token, to be shown to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> Hash {
        Hash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl Hash {
    /// The hash of what may be a token; `None` for what is none by its form, which is most of what is tried. Allocates
    /// nothing.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        is_token(text).then(|| Self(Sha256::digest(text).into()))
    }
}

/// Shows no secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Whether `text` has the form of a robot token. Allocates nothing.
pub fn is_token(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX.as_bytes()) else {
        return false;
    };
    text.len() == LENGTH
        && rest.iter().all(u8::is_ascii_alphanumeric)
        && text[LENGTH - CHECKSUM..] == checksum(&text[..LENGTH - CHECKSUM])
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32(bytes) as usize;
    let mut text = [b'0'; CHECKSUM];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[rest % DIGITS.len()];
        rest /= DIGITS.len();
    }
    text
}

/// The CRC-32 of IEEE 802.3, as zlib has it.
fn crc32(bytes: &[u8]) -> u32 {
    let remainder = bytes.iter().fold(u32::MAX, |remainder, &byte| {
        (0..8).fold(remainder ^ u32::from(byte), |remainder, _| {
            (remainder >> 1) ^ (0xedb8_8320 & (remainder & 1).wrapping_neg())
        })
    });
    !remainder
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn a_token_has_the_documented_pattern_and_its_checksum() {
        let pattern = Regex::new(r"^wharf_[0-9A-Za-z]{46}$").unwrap();
        let secret = Secret::new().unwrap();
        let text = secret.expose();
        assert!(pattern.is_match(text) && is_token(text.as_bytes()), "{text}");
        assert_eq!(Hash::of(text.as_bytes()), Some(secret.hash()));
        for place in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[place] = if other[place] == b'x' { b'y' } else { b'x' };
            assert!(!is_token(&other), "{place}");
        }
        for other in [
            &text[..text.len() - 1],
            &format!("{text}0"),
            "",
            "wharf_",
            &text[1..],
        ] {
            assert_eq!(Hash::of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    /// The check value of the catalogue of CRCs, and an example for those that write a scanner.
    #[test]
    fn the_checksum_is_the_one_of_zlib_in_base_62() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b"123456789"), *b"3jZRME");
        assert_eq!(checksum(b""), *b"000000");
    }
}
