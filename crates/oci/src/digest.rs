//! Content digests: `sha256:<64 hex digits>` and `sha512:<128 hex digits>`, parsed, shown and computed.

use std::{fmt, hash, io, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, digest::common::hazmat::SerializableState as _};

use crate::text::{Quoted, QuotedChar, shortened};

/// Length in bytes of the longest digest that is supported.
const MAX_BYTES: usize = 64;
const MAX_HEX: usize = 2 * MAX_BYTES;
/// Length of the longest text: `sha512:` and its hex digits.
const MAX_TEXT: usize = 7 + MAX_HEX;

/// A content digest: an algorithm and the bytes that it gave. Small, `Copy`, and always valid.
///
/// The text form is the OCI image specification's (descriptor.md, "Digests"), restricted to the algorithms
/// that it registers. Digests order by algorithm, then by hex digits, as their text does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The raw bytes, filled with zeros behind the algorithm's own length.
    bytes: [u8; MAX_BYTES],
}

impl Digest {
    /// The digest of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The SHA-256 digest of `content`.
    pub fn sha256_of(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// The digest whose bytes are `bytes`; `None` if the algorithm gives another number of bytes.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.byte_len() {
            return None;
        }
        let mut padded = [0; MAX_BYTES];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self {
            algorithm,
            bytes: padded,
        })
    }

    /// The digest with these hex digits, which are lower case; `None` if the algorithm gives no such digits.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let mut bytes = [0; MAX_BYTES];
        let is_whole =
            hex.len() == algorithm.hex_len() && decode(hex.as_bytes(), &mut bytes[..algorithm.byte_len()]);
        is_whole.then_some(Self { algorithm, bytes })
    }

    /// The function that gave this digest.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw bytes, as many as the algorithm gives.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.byte_len()]
    }

    /// The lower case hex digits, without the algorithm; allocates nothing.
    pub fn hex(&self) -> Hex {
        let mut digits = [0; MAX_HEX];
        encode(self.bytes(), &mut digits);
        Hex {
            digits,
            len: self.algorithm.hex_len(),
        }
    }

    /// The whole text, `sha256:<hex>`; allocates nothing.
    pub fn text(&self) -> DigestText {
        let name = self.algorithm.as_str();
        let mut text = [0; MAX_TEXT];
        text[..name.len()].copy_from_slice(name.as_bytes());
        text[name.len()] = b':';
        let start = name.len() + 1;
        encode(self.bytes(), &mut text[start..]);
        DigestText {
            text,
            len: start + self.algorithm.hex_len(),
        }
    }
}

/// Its first sixteen bytes alone: tables of digests are faster for it, and many contents that agree in so many bytes are out of reach
/// for a client that wants a table to be slow.
impl hash::Hash for Digest {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        let (start, _) = self.bytes.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        state.write_u128(u128::from_ne_bytes(*start));
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = if let Some(hex) = text.strip_prefix("sha256:") {
            (Algorithm::Sha256, hex)
        } else if let Some((algorithm, hex)) = text.split_once(':') {
            (algorithm.parse()?, hex)
        } else {
            return Err(DigestError::MissingColon);
        };
        Self::from_hex(algorithm, hex).ok_or_else(|| explain(algorithm, hex))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest such as `sha256:<64 hex digits>`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A digest function that the registry accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which nearly all content uses.
    Sha256,
    /// SHA-512, used only when a client names it.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the preferred one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name in front of the colon: `sha256` or `sha512`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes a digest has: 32 or 64.
    pub fn byte_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// How many hex digits a digest has: 64 or 128.
    pub fn hex_len(self) -> usize {
        2 * self.byte_len()
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::UnknownAlgorithm {
                algorithm: shortened(text),
            }),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The hex digits of a digest, on the stack.
#[derive(Clone, Copy)]
pub struct Hex {
    digits: [u8; MAX_HEX],
    len: usize,
}

impl Hex {
    /// The digits, lower case: 64 of them for SHA-256, 128 for SHA-512.
    pub fn as_str(&self) -> &str {
        ascii(&self.digits[..self.len])
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text of a digest, `sha256:<hex>`, on the stack.
#[derive(Clone, Copy)]
pub struct DigestText {
    text: [u8; MAX_TEXT],
    len: usize,
}

impl DigestText {
    /// The text, which is always ASCII.
    pub fn as_str(&self) -> &str {
        ascii(&self.text[..self.len])
    }
}

impl fmt::Display for DigestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DigestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Computes a digest of bytes that come piece by piece. A clone continues independently.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher without any bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes that were taken.
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let mut bytes = [0; MAX_BYTES];
        match self.0 {
            State::Sha256(state) => bytes[..32].copy_from_slice(&state.finalize()),
            State::Sha512(state) => bytes.copy_from_slice(&state.finalize()),
        }
        Digest { algorithm, bytes }
    }

    /// The state after the bytes that were taken, as hex digits, for [`restore`](Self::restore).
    pub fn save(&self) -> String {
        match &self.0 {
            State::Sha256(state) => hex(&state.serialize()),
            State::Sha512(state) => hex(&state.serialize()),
        }
    }

    /// The hasher whose state was [saved](Self::save). `None` when the text is none that this version of the program
    /// writes.
    pub fn restore(algorithm: Algorithm, state: &str) -> Option<Self> {
        let mut bytes = vec![0; state.len() / 2];
        if !state.len().is_multiple_of(2) || !decode(state.as_bytes(), &mut bytes) {
            return None;
        }
        let bytes = bytes.as_slice();
        Some(Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::deserialize(bytes.try_into().ok()?).ok()?),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::deserialize(bytes.try_into().ok()?).ok()?),
        }))
    }

    /// The algorithm of the digest.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }
}

/// Takes what is written; it never fails.
impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text has no `<algorithm>:` in front.
    #[error(
        "a digest is written `<algorithm>:<hex digits>`, such as `sha256:` and 64 hex digits; the colon is missing"
    )]
    MissingColon,
    /// The algorithm is not supported.
    #[error("unknown digest algorithm {}; supported are `sha256` and `sha512`", Quoted(.algorithm))]
    UnknownAlgorithm {
        /// Text in front of the colon.
        algorithm: String,
    },
    /// The text has too few or too many digits.
    #[error(
        "{expected} hex digits expected after `{algorithm}:`, got {got}; {}",
        if .got < .expected { "the digest was cut off" } else { "the digest is too long" }
    )]
    WrongLength {
        /// Algorithm in front of the colon.
        algorithm: Algorithm,
        /// Number of digits of that algorithm.
        expected: usize,
        /// Number of characters behind the colon.
        got: usize,
    },
    /// A character is no hex digit.
    #[error("a digest holds only the hex digits `0-9` and `a-f`; character {position} after the colon is {}", QuotedChar(*.character))]
    NotHex {
        /// The first such character.
        character: char,
        /// Position of the character among the digits, counted from 1.
        position: usize,
    },
    /// The hex digits are not all in lower case.
    #[error("the hex digits of a digest are written in lower case; write `a-f`, not `A-F`")]
    UpperCase,
}

const INVALID: u8 = 0xff;

/// The value of each lower case hex digit; [`INVALID`] for every other byte.
const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let digits = *b"0123456789abcdef";
    let mut value = 0;
    while value < 16 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 16")]
        let small = value as u8;
        values[digits[value] as usize] = small;
        value += 1;
    }
    values
};

/// Decodes all of `hex`, which is twice as long as `bytes`; false if a byte is no lower case hex digit.
fn decode(hex: &[u8], bytes: &mut [u8]) -> bool {
    // One test at the end instead of one a digit: this runs for every request that names a digest.
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    seen & 0xf0 == 0
}

/// Writes the hex digits of `bytes` to the front of `digits`.
fn encode(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
}

/// The hex digits of `bytes`.
fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; 2 * bytes.len()];
    encode(bytes, &mut digits);
    ascii(&digits).to_owned()
}

/// The error of digits that did not decode.
fn explain(algorithm: Algorithm, hex: &str) -> DigestError {
    let (expected, got) = (algorithm.hex_len(), hex.chars().count());
    if got != expected {
        return DigestError::WrongLength {
            algorithm,
            expected,
            got,
        };
    }
    match hex
        .chars()
        .zip(1..)
        .find(|(character, _)| !character.is_ascii_hexdigit())
    {
        Some((character, position)) => DigestError::NotHex { character, position },
        None => DigestError::UpperCase,
    }
}

/// The text of bytes that this module wrote, all of them ASCII.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
