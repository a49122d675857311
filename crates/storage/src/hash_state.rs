//! The text in which the state of a SHA-256 is kept beside the bytes that it is of.

use wharf_oci::{Algorithm, Hasher};

/// The state of `hasher` behind the digest that it gives, by which [`restore`] tells whether it still reads as it was written.
pub(crate) fn save(hasher: &Hasher) -> String {
    format!("{} {}", hasher.clone().finish(), hasher.save())
}

/// The hasher that was [saved](save). `None` when the text was damaged, or is of another version of this program.
pub(crate) fn restore(text: &str) -> Option<Hasher> {
    let (digest, state) = text.trim().split_once(' ')?;
    let hasher = Hasher::restore(Algorithm::Sha256, state)?;
    (hasher.clone().finish().to_string() == digest).then_some(hasher)
}
