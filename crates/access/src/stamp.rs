//! The state of what a token of this registry is bound to.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::bcrypt::Bcrypt;

/// The state of a user, or of a robot token: another password, or another secret, has another one, and so has another user of
/// the same name.
///
/// It is a hash of the user's line in the password file, the same in every process that reads the file. It says nothing of
/// the password, because the line has a random salt of 128 bits.
#[derive(Clone, Copy, Eq)]
pub struct Stamp([u8; 16]);

/// A text is no stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no stamp of a user")]
pub struct StampError;

impl Stamp {
    /// The state of the user `name` with this hash of the password.
    pub(crate) fn of(name: &str, hash: &Bcrypt) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"wharf: the stamp of a user\0");
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(hash.bytes());
        let mut stamp = [0; 16];
        stamp.copy_from_slice(&hasher.finalize()[..16]);
        Self(stamp)
    }
}

impl Stamp {
    /// The state of a robot token with this hash of the secret.
    pub(crate) fn of_robot(hash: &[u8; 32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"wharf: the stamp of a robot token\0");
        hasher.update(hash);
        let mut stamp = [0; 16];
        stamp.copy_from_slice(&hasher.finalize()[..16]);
        Self(stamp)
    }
}

impl PartialEq for Stamp {
    /// Takes the same time whatever the two are.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stamp")
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StampError)?;
        bytes.try_into().map(Self).map_err(|_| StampError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(name: &str, hash: &str) -> Stamp {
        Stamp::of(name, &Bcrypt::parse(hash).unwrap().0)
    }

    #[test]
    fn a_stamp_differs_with_the_name_and_with_the_hash() {
        const HASH: &str = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        let alice = stamp("alice", HASH);
        assert_eq!(alice, stamp("alice", HASH));
        assert_eq!(
            alice,
            stamp("alice", &HASH.replace("2y", "2b")),
            "another name of one variant"
        );
        assert_ne!(alice, stamp("bob", HASH));
        for other in [
            HASH.replace("$05", "$06"),
            HASH.replace("kmy", "kmz"),
            HASH.replace("CC.E", "DC.E"),
        ] {
            assert_ne!(alice, stamp("alice", &other), "{other}");
        }
        assert_eq!(alice.to_string().parse(), Ok(alice));
        for text in ["", "AAAA", "!", &"A".repeat(100)] {
            assert_eq!(text.parse::<Stamp>(), Err(StampError));
        }
        assert_eq!(format!("{alice:?}"), "Stamp");
    }
}
