//! A set of digests that takes little more memory than their bytes.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
};

use wharf_oci::{Algorithm, Digest};

/// The digests: 32 bytes for a SHA-256, 64 for a SHA-512, and the table's own share: about 50 MB for a million blobs.
#[derive(Debug, Default)]
pub(crate) struct DigestSet {
    sha256: HashSet<Bytes<32>>,
    sha512: HashSet<Bytes<64>>,
}

/// The bytes of a digest. As [`Digest`], they are hashed by their beginning.
#[derive(Debug, PartialEq, Eq)]
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Bytes<N> {
    fn of(digest: &Digest) -> Option<Self> {
        digest.bytes().try_into().ok().map(Self)
    }
}

impl<const N: usize> Hash for Bytes<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0[..N.min(16)]);
    }
}

impl DigestSet {
    pub(crate) fn insert(&mut self, digest: &Digest) {
        self.adds(digest);
    }

    /// Inserts `digest`, and returns whether it is new.
    pub(crate) fn adds(&mut self, digest: &Digest) -> bool {
        match digest.algorithm() {
            Algorithm::Sha256 => Bytes::of(digest).is_some_and(|bytes| self.sha256.insert(bytes)),
            Algorithm::Sha512 => Bytes::of(digest).is_some_and(|bytes| self.sha512.insert(bytes)),
        }
    }

    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        match digest.algorithm() {
            Algorithm::Sha256 => Bytes::of(digest).is_some_and(|bytes| self.sha256.contains(&bytes)),
            Algorithm::Sha512 => Bytes::of(digest).is_some_and(|bytes| self.sha512.contains(&bytes)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sha256.len() + self.sha512.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_are_told_apart() {
        let mut set = DigestSet::default();
        let (short, long) = (
            Digest::of(Algorithm::Sha256, b"a"),
            Digest::of(Algorithm::Sha512, b"a"),
        );
        assert!(set.adds(&short) && !set.adds(&short));
        assert!(set.contains(&short) && !set.contains(&long));
        set.insert(&long);
        set.insert(&long);
        assert!(set.contains(&long) && !set.contains(&Digest::of(Algorithm::Sha512, b"b")));
        assert_eq!(set.len(), 2);
    }
}
