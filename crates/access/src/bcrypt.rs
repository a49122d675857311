//! bcrypt hashes: read, checked, made.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use subtle::ConstantTimeEq as _;

use crate::random::{self, NoRandomness};

/// bcrypt looks at no more bytes of a password than these, in every implementation.
pub const PASSWORD_BYTES: usize = 72;

/// The length of a hash in a file: `$2y$10$`, 22 characters of salt, 31 of digest.
pub(crate) const TEXT_LENGTH: usize = 60;

/// Cost of new hashes (decision D8): the cost that registry:2 uses, and 32 times the work of Apache's default.
pub const DEFAULT_COST: u8 = 10;

/// The lowest cost that bcrypt defines.
pub const MIN_COST: u8 = 4;

/// The highest cost that Apache's `htpasswd` makes. One check takes about 10 s; with a higher one, an attacker with
/// a valid user name could keep the server busy for minutes with one request.
pub const MAX_COST: u8 = 17;

/// Stray bits at the end are ignored: some old programs leave them in the salt.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A parsed hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bcrypt {
    cost: u8,
    salt: [u8; 16],
    digest: [u8; 23],
}

/// Why a text is not a usable hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotUsable {
    /// The text is another kind of hash, or none: what it looks like.
    NotBcrypt(&'static str),
    /// The text begins like a bcrypt hash and is not one.
    Malformed,
    /// The hash is of the broken variant `$2x$`.
    Broken,
    /// The cost would make a check too long, or is not one of bcrypt's.
    Cost(u8),
}

impl Bcrypt {
    /// Everything that the hash consists of, whatever its variant is called.
    pub(crate) fn bytes(&self) -> [u8; 40] {
        let mut bytes = [self.cost; 40];
        bytes[1..17].copy_from_slice(&self.salt);
        bytes[17..].copy_from_slice(&self.digest);
        bytes
    }

    /// Reads the hash that `text` begins with; gives it with what stands behind it.
    pub(crate) fn parse(text: &str) -> Result<(Self, &str), NotUsable> {
        let rest = match text.as_bytes() {
            [b'$', b'2', b'a' | b'b' | b'y', b'$', ..] => &text[4..],
            [b'$', b'2', b'x', b'$', ..] => return Err(NotUsable::Broken),
            _ => return Err(NotUsable::NotBcrypt(looks_like(text))),
        };
        // Cutting where a character does not end gives `None`, never a panic.
        let (hash, behind) = rest
            .split_at_checked(TEXT_LENGTH - 4)
            .ok_or(NotUsable::Malformed)?;
        let (cost, hash) = hash.split_once('$').ok_or(NotUsable::Malformed)?;
        let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let cost = cost
            .parse::<u8>()
            .ok()
            .filter(|_| is_number)
            .ok_or(NotUsable::Malformed)?;
        if !(MIN_COST..=MAX_COST).contains(&cost) {
            return Err(NotUsable::Cost(cost));
        }
        let (salt, digest) = hash.split_at_checked(22).ok_or(NotUsable::Malformed)?;
        let hash = Self {
            cost,
            salt: decoded(salt).ok_or(NotUsable::Malformed)?,
            digest: decoded(digest).ok_or(NotUsable::Malformed)?,
        };
        Ok((hash, behind))
    }

    /// A new hash of `password`, in the form of a password file. `cost` is limited to `MIN_COST..=MAX_COST`.
    pub(crate) fn of(password: &[u8], cost: u8) -> Result<String, NoRandomness> {
        let cost = cost.clamp(MIN_COST, MAX_COST);
        let salt = random::bytes()?;
        let digest = digest(password, cost, salt);
        // Apache writes `$2y$`, and every program that supports bcrypt reads it.
        Ok(format!(
            "$2y${cost:02}${}{}",
            BASE64.encode(salt),
            BASE64.encode(digest)
        ))
    }

    /// A hash that no password matches, and whose check takes as long as that of a real one.
    pub(crate) fn decoy(cost: u8, salt: [u8; 16]) -> Self {
        Self {
            cost,
            salt,
            digest: [0; 23],
        }
    }

    /// Whether it is the hash of `password`. Takes `2^cost` times about 75 microseconds, whatever the outcome.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        digest(password, self.cost, self.salt).ct_eq(&self.digest).into()
    }

    pub(crate) fn cost(&self) -> u8 {
        self.cost
    }

    /// The parts that identify the hash: cost, salt, digest.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        [std::slice::from_ref(&self.cost), &self.salt, &self.digest]
    }
}

/// Neither hash nor salt: what leaks from a log can be attacked offline.
impl fmt::Debug for Bcrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bcrypt")
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// The bytes that bcrypt looks at.
pub(crate) fn significant(password: &[u8]) -> &[u8] {
    &password[..password.len().min(PASSWORD_BYTES)]
}

fn digest(password: &[u8], cost: u8, salt: [u8; 16]) -> [u8; 23] {
    // A zero byte ends a password that leaves room for it, as in C.
    let mut key = [0; PASSWORD_BYTES];
    let password = significant(password);
    key[..password.len()].copy_from_slice(password);
    let length = (password.len() + 1).min(PASSWORD_BYTES);
    let output = bcrypt::bcrypt(u32::from(cost), salt, &key[..length]);
    let mut digest = [0; 23];
    digest.copy_from_slice(&output[..23]);
    digest
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// A description of a text that is no bcrypt hash, without the text itself, which may be a password.
fn looks_like(text: &str) -> &'static str {
    match text {
        "" => "no hash",
        _ if text.starts_with("$apr1$") => "an MD5 hash (`$apr1$`)",
        _ if text.starts_with("$1$") => "an MD5 hash (`$1$`)",
        _ if text.starts_with("$5$") => "a SHA-256 hash (`$5$`)",
        _ if text.starts_with("$6$") => "a SHA-512 hash (`$6$`)",
        _ if text.starts_with("{SHA}") => "a SHA-1 hash (`{SHA}`)",
        _ if text.starts_with("$argon2") => "an Argon2 hash",
        _ => "something unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of `pw`, made by Apache's `htpasswd -B`.
    const APACHE: &str = "$2y$05$C6EvN/6yM3afE0WBgWe6buXQcXS0w/SRk.dev6TgStfNyxpJevHpu";

    fn hash(text: &str) -> Bcrypt {
        let (hash, behind) = Bcrypt::parse(text).unwrap();
        assert_eq!(behind, "");
        hash
    }

    #[test]
    fn hashes_of_apache_are_checked() {
        assert!(hash(APACHE).verify(b"pw"));
        assert!(!hash(APACHE).verify(b"pW") && !hash(APACHE).verify(b"") && !hash(APACHE).verify(b"pw\0"));
        for version in ["$2a$", "$2b$"] {
            assert!(hash(&APACHE.replace("$2y$", version)).verify(b"pw"), "{version}");
        }
    }

    /// From the tests of jBCrypt, which all implementations share.
    #[test]
    fn the_usual_vectors_hold() {
        for (password, text) in [
            ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
            (
                "a",
                "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            ),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC",
            ),
        ] {
            assert!(hash(text).verify(password.as_bytes()), "{password}");
        }
    }

    #[test]
    fn only_72_bytes_count() {
        let long = "x".repeat(72);
        let made = hash(&Bcrypt::of(long.as_bytes(), 4).unwrap());
        assert!(made.verify(long.as_bytes()) && made.verify(format!("{long}more").as_bytes()));
        assert!(!made.verify(&long.as_bytes()[..71]));
    }

    #[test]
    fn what_is_made_can_be_read_and_differs_each_time() {
        let (one, two) = (
            Bcrypt::of("pä:".as_bytes(), 4).unwrap(),
            Bcrypt::of("pä:".as_bytes(), 4).unwrap(),
        );
        assert_ne!(one, two);
        assert!(one.starts_with("$2y$04$") && one.len() == TEXT_LENGTH, "{one}");
        assert!(hash(&one).verify("pä:".as_bytes()) && !hash(&one).verify("pä".as_bytes()));
        assert_eq!(hash(&Bcrypt::of(b"", 0).unwrap()).cost(), MIN_COST);
    }

    #[test]
    fn what_is_behind_a_hash_is_told_apart() {
        assert_eq!(Bcrypt::parse(&format!("{APACHE}bob:x")).unwrap().1, "bob:x");
        assert_eq!(Bcrypt::parse(&format!("{APACHE}é")).unwrap().1, "é");
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        let refused = |text: &str| Bcrypt::parse(text).unwrap_err();
        for text in [
            "$apr1$a$b",
            "{SHA}x",
            "$1$x",
            "$5$x",
            "$6$x",
            "$argon2id$x",
            "",
            "plain",
            "!$2y$",
            "$2$10$",
            "*",
        ] {
            assert!(matches!(refused(text), NotUsable::NotBcrypt(_)), "{text}");
        }
        assert_eq!(refused(&APACHE.replace("$2y$", "$2x$")), NotUsable::Broken);
        assert_eq!(refused(&APACHE.replace("$05$", "$31$")), NotUsable::Cost(31));
        assert_eq!(refused(&APACHE.replace("$05$", "$03$")), NotUsable::Cost(3));
        for text in [
            "$2y$",
            &APACHE[..59],
            &APACHE.replace("$05$", "$+5$"),
            &APACHE.replace("$05$", "$5$0"),
            &APACHE.replace("C6", "C:"),
            &APACHE.replace("C6", "é"),
            &format!("{}é", &APACHE[..59]),
        ] {
            assert_eq!(refused(text), NotUsable::Malformed, "{text}");
        }
    }
}
