//! Sets of digests that take little memory: each digest once, by its own length, with a number that stands for it.

use std::collections::HashMap;

use wharf_oci::{Algorithm, Digest};

/// Estimated bytes that a digest takes in [`Collected`], and while that becomes [`Digests`].
pub(super) const COLLECTED: usize = 128;

/// Digests in ascending order. The place of a digest is its number.
#[derive(Debug, Default)]
pub(super) struct Digests {
    sha256: Box<[[u8; 32]]>,
    sha512: Box<[[u8; 64]]>,
}

/// Digests that are being collected. They have numbers in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Collected {
    sha256: HashMap<[u8; 32], u32>,
    sha512: HashMap<[u8; 64], u32>,
}

impl Digests {
    /// The digest with a number of this set.
    pub(super) fn get(&self, number: u32) -> Option<Digest> {
        let place = number as usize;
        match self.sha256.get(place) {
            Some(bytes) => Digest::from_bytes(Algorithm::Sha256, bytes),
            None => Digest::from_bytes(Algorithm::Sha512, self.sha512.get(place - self.sha256.len())?),
        }
    }

    /// The number of a digest, if the set has it.
    pub(super) fn number(&self, digest: &Digest) -> Option<u32> {
        let place = match digest.algorithm() {
            Algorithm::Sha256 => self
                .sha256
                .binary_search_by(|bytes| bytes[..].cmp(digest.bytes()))
                .ok()?,
            Algorithm::Sha512 => {
                let place = self
                    .sha512
                    .binary_search_by(|bytes| bytes[..].cmp(digest.bytes()))
                    .ok()?;
                self.sha256.len() + place
            }
        };
        u32::try_from(place).ok()
    }

    /// Its size in memory.
    pub(super) fn weight(&self) -> usize {
        size_of_val(&*self.sha256) + size_of_val(&*self.sha512)
    }
}

impl Collected {
    /// How many digests there are.
    pub(super) fn len(&self) -> usize {
        self.sha256.len() + self.sha512.len()
    }

    /// The number of `digest`, which is added if it is new.
    pub(super) fn number(&mut self, digest: &Digest) -> u32 {
        // Four billion digests are not in memory.
        let next = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let bytes = digest.bytes();
        match digest.algorithm() {
            Algorithm::Sha256 => *self.sha256.entry(padded(bytes)).or_insert(next),
            Algorithm::Sha512 => *self.sha512.entry(padded(bytes)).or_insert(next),
        }
    }

    /// The digests in ascending order, and the numbers that they have there by the numbers that they had here.
    pub(super) fn sorted(self) -> (Digests, Vec<u32>) {
        let mut numbers = vec![0; self.len()];
        let digests = Digests {
            sha256: in_order(self.sha256, 0, &mut numbers),
            sha512: Box::default(),
        };
        let digests = Digests {
            sha512: in_order(self.sha512, digests.sha256.len(), &mut numbers),
            ..digests
        };
        (digests, numbers)
    }
}

/// The keys in ascending order. Their places, counted from `first`, are noted in `numbers`.
fn in_order<const N: usize>(
    keys: HashMap<[u8; N], u32>,
    first: usize,
    numbers: &mut [u32],
) -> Box<[[u8; N]]> {
    let mut keys: Vec<([u8; N], u32)> = keys.into_iter().collect();
    keys.sort_unstable();
    for (place, (_, old)) in keys.iter().enumerate() {
        numbers[*old as usize] = u32::try_from(first + place).unwrap_or(u32::MAX);
    }
    keys.into_iter().map(|(bytes, _)| bytes).collect()
}

/// `bytes`, which are `N` of them: as many as the algorithm gives.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let length = bytes.len().min(N);
    array[..length].copy_from_slice(&bytes[..length]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_both_algorithms_are_found_in_their_order() {
        let mut expected: Vec<Digest> = (0..20)
            .flat_map(|number: u8| Algorithm::ALL.map(|algorithm| Digest::of(algorithm, &[number])))
            .collect();
        let mut collected = Collected::default();
        let old: Vec<u32> = expected.iter().map(|digest| collected.number(digest)).collect();
        assert_eq!(collected.number(&expected[7]), old[7], "each is there once");
        let named = expected.clone();
        let (digests, numbers) = collected.sorted();
        expected.sort_unstable();
        for (place, digest) in (0..).zip(&expected) {
            assert_eq!(digests.number(digest), Some(place));
            assert_eq!(digests.get(place), Some(*digest));
        }
        for (digest, old) in named.iter().zip(old) {
            assert_eq!(digests.get(numbers[old as usize]), Some(*digest));
        }
        assert_eq!(digests.get(40), None);
        assert_eq!(digests.number(&Digest::sha256_of(b"other")), None);
        assert_eq!(digests.weight(), 20 * (32 + 64));
    }
}
