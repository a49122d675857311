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

/// For new hashes (decision D8): what registry:2 uses for its own, and 32 times what Apache does by default.
pub const DEFAULT_COST: u8 = 10;

/// What bcrypt defines as its least.
pub const MIN_COST: u8 = 4;

/// The most that Apache's `htpasswd` makes. One check takes about 10 s there; beyond it a stranger who knows
/// a name could keep us busy for minutes with one request.
pub const MAX_COST: u8 = 17;

/// Stray bits at the end are not looked at: some old programs leave them in the salt.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A hash, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bcrypt {
    cost: u8,
    salt: [u8; 16],
    digest: [u8; 23],
}

/// Why a text is no hash that is used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotUsable {
    /// It is something else: what it looks like.
    NotBcrypt(&'static str),
    /// It begins like one.
    Malformed,
    /// `$2x$`.
    Broken,
    /// A check would take too long, or the number is none of bcrypt's.
    Cost(u8),
}

impl Bcrypt {
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

    /// A fresh hash of `password`, as a file has it. `cost` is brought into the range that is used here.
    pub(crate) fn of(password: &[u8], cost: u8) -> Result<String, NoRandomness> {
        let cost = cost.clamp(MIN_COST, MAX_COST);
        let salt = random::bytes()?;
        let digest = digest(password, cost, salt);
        // `$2y$` is what Apache writes, and all that take bcrypt read it.
        Ok(format!(
            "$2y${cost:02}${}{}",
            BASE64.encode(salt),
            BASE64.encode(digest)
        ))
    }

    /// One that nobody's password matches, and that costs as much to find out.
    pub(crate) fn decoy(cost: u8, salt: [u8; 16]) -> Self {
        Self {
            cost,
            salt,
            digest: [0; 23],
        }
    }

    /// Whether it is that of `password`. Takes `2^cost` times about 75 microseconds, whatever comes out.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        digest(password, self.cost, self.salt).ct_eq(&self.digest).into()
    }

    pub(crate) fn cost(&self) -> u8 {
        self.cost
    }

    /// What tells it from every other.
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

/// A name for what is no bcrypt hash. The text itself may be somebody's password.
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

    /// Of `pw`, by Apache's `htpasswd -B`.
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
