//! Random passwords, and a list of well-known ones.

pub use crate::{
    bcrypt::{DEFAULT_COST, MAX_COST, MIN_COST, PASSWORD_BYTES},
    random::NoRandomness,
};

use crate::{bcrypt::Bcrypt, random};

/// 62 characters that need no quoting anywhere: 5.95 bits each.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Well-known passwords, in the order in which they are tried.
const WELL_KNOWN: &[&str] = &[
    "",
    "password",
    "changeme",
    "docker-registry",
    "registry",
    "docker",
    "admin",
    "test",
    "secret",
    "123456",
    "mypassword",
    "testpassword",
    "passw0rd",
    "12345678",
    "root",
    "pw",
    "pass",
    "user",
    "welcome",
    "letmein",
];

/// A bcrypt hash of `password`, as a password file has it. `cost` is the logarithm of the work.
///
/// # Errors
/// When the system gives no random numbers.
pub fn hash(password: &[u8], cost: u8) -> Result<String, NoRandomness> {
    Bcrypt::of(password, cost)
}

/// A password of `length` letters and digits, each as likely as any other.
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate(length: usize) -> Result<String, NoRandomness> {
    let mut password = String::with_capacity(length);
    while password.len() < length {
        let bytes: [u8; 64] = random::bytes()?;
        // The remainder of a byte would prefer the first characters; bytes past the last whole round are thrown away.
        let characters = bytes.iter().filter(|&&byte| byte < 248);
        let characters = characters.map(|&byte| char::from(ALPHABET[usize::from(byte % 62)]));
        let missing = length - password.len();
        password.extend(characters.take(missing));
    }
    Ok(password)
}

/// Whether `password` is easy to guess: a well-known one, or the name of its user.
pub fn is_well_known(user: &str, password: &[u8]) -> bool {
    well_known(user).any(|guess| guess.as_bytes() == password)
}

/// The well-known passwords to try for `user`, the user's own name first.
pub(crate) fn well_known(user: &str) -> impl Iterator<Item = &str> {
    [user].into_iter().chain(
        WELL_KNOWN
            .iter()
            .copied()
            .filter(move |&password| password != user),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn passwords_have_their_length_and_differ() {
        for length in [0, 1, 12, 61, 62, 63, 1000] {
            let password = generate(length).unwrap();
            assert_eq!(password.len(), length);
            assert!(password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        let many: BTreeSet<String> = (0..100).map(|_| generate(12).unwrap()).collect();
        assert_eq!(many.len(), 100);
    }

    #[test]
    fn every_character_comes_up() {
        let characters: BTreeSet<char> = generate(10_000).unwrap().chars().collect();
        assert_eq!(characters.len(), 62);
    }

    #[test]
    fn the_own_name_is_tried_first_and_once() {
        let tried: Vec<&str> = well_known("admin").collect();
        assert_eq!(tried[0], "admin");
        assert_eq!(tried.iter().filter(|&&password| password == "admin").count(), 1);
        assert!(tried.contains(&"changeme"));
    }
}
