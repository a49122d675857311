//! A set of digests that takes little more memory than their bytes.

use std::collections::HashSet;

use wharf_oci::{Algorithm, Digest};

/// The digests: 32 bytes for a SHA-256, 64 for a SHA-512, and the table's own share: about 50 MB for a million blobs.
#[derive(Debug, Default)]
pub(crate) struct DigestSet {
    sha256: HashSet<[u8; 32]>,
    sha512: HashSet<[u8; 64]>,
}

impl DigestSet {
    pub(crate) fn insert(&mut self, digest: &Digest) {
        match digest.algorithm() {
            Algorithm::Sha256 => self.sha256.extend(<[u8; 32]>::try_from(digest.bytes())),
            Algorithm::Sha512 => self.sha512.extend(<[u8; 64]>::try_from(digest.bytes())),
        }
    }

    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        match digest.algorithm() {
            Algorithm::Sha256 => self.sha256.contains(digest.bytes()),
            Algorithm::Sha512 => self.sha512.contains(digest.bytes()),
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
        set.insert(&short);
        assert!(set.contains(&short) && !set.contains(&long));
        set.insert(&long);
        set.insert(&long);
        assert!(set.contains(&long) && !set.contains(&Digest::of(Algorithm::Sha512, b"b")));
        assert_eq!(set.len(), 2);
    }
}
