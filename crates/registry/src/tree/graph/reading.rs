//! The references of the manifests of a graph while they are read: compact, and charged to the budget.

use wharf_budget::{Exhausted, Permit, Share};
use wharf_oci::Digest;

use super::digests::{COLLECTED, Collected};

/// Bytes that a graph may take without a charge: those of some thousand images.
const FREE: usize = 1 << 20;

/// Bytes that are charged at a time.
const STEP: usize = 1 << 20;

/// Estimated bytes that a manifest takes while a graph is made, beside digests and children.
const MANIFEST: usize = 80;

/// Estimated bytes that a child takes while a graph is made.
const CHILD: usize = 16;

/// The references that were read so far.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) digests: Collected,
    pub(super) manifests: Vec<References>,
    /// Children of all manifests.
    children: usize,
    /// Share that pays for what is held, beyond [`FREE`].
    memory: Share,
    pub(super) charge: Option<Permit>,
}

/// References of one manifest to other manifests, by their numbers in [`Reading::digests`].
#[derive(Debug)]
pub(super) struct References {
    pub(super) digest: u32,
    pub(super) subject: Option<u32>,
    pub(super) children: Box<[u32]>,
    pub(super) entry_size: u32,
}

impl Reading {
    /// Nothing that is read yet; it will be charged to `memory`.
    pub(super) fn new(memory: Share) -> Self {
        Self {
            digests: Collected::default(),
            manifests: Vec::new(),
            children: 0,
            memory,
            charge: None,
        }
    }

    /// Adds the references of the manifest `digest`.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if the budget has no room for them.
    pub(super) fn add(
        &mut self,
        digest: &Digest,
        subject: Option<&Digest>,
        children: impl Iterator<Item = Digest>,
        entry_size: u32,
    ) -> Result<(), Exhausted> {
        let digests = &mut self.digests;
        let references = References {
            digest: digests.number(digest),
            subject: subject.map(|subject| digests.number(subject)),
            children: children.map(|child| digests.number(&child)).collect(),
            entry_size,
        };
        self.children += references.children.len();
        self.manifests.push(references);
        self.pay()
    }

    /// Charges what is held.
    fn pay(&mut self) -> Result<(), Exhausted> {
        let held = self.digests.len() * COLLECTED + self.manifests.len() * MANIFEST + self.children * CHILD;
        let paid = FREE + self.charge.as_ref().map_or(0, Permit::amount);
        let Some(missing) = held.checked_sub(paid).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let missing = missing.next_multiple_of(STEP);
        let more = self.memory.take(missing)?;
        match &mut self.charge {
            Some(charge) => charge.merge(more),
            charge @ None => *charge = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::sha256_of(&number.to_le_bytes())
    }

    /// Adds indexes that each list the same 40,000 entries.
    fn read(reading: &mut Reading, indexes: std::ops::Range<usize>) -> Result<(), Exhausted> {
        let entries: Vec<Digest> = (0..40_000).map(digest).collect();
        for index in indexes {
            reading.add(&digest(1_000_000 + index), None, entries.iter().copied(), 0)?;
        }
        Ok(())
    }

    #[test]
    fn what_is_read_for_a_graph_is_charged_and_an_entry_that_repeats_takes_little() {
        let memory = Share::new("bodies", 64 << 20);
        let mut reading = Reading::new(memory.clone());
        read(&mut reading, 0..1).unwrap();
        let first = memory.used();
        assert!((4 << 20..8 << 20).contains(&first), "{first}");
        read(&mut reading, 1..11).unwrap();
        let each = (memory.used() - first) / 10;
        assert!((512 << 10..1 << 20).contains(&each), "{each}");
        assert!(
            read(&mut reading, 11..200).is_err(),
            "no graph takes more than the share"
        );
        drop(reading);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_graph_of_a_usual_repository_is_not_charged() {
        let memory = Share::new("bodies", 1);
        let mut reading = Reading::new(memory.clone());
        for image in 0..4000 {
            reading.add(&digest(image), None, std::iter::empty(), 0).unwrap();
        }
        assert_eq!(memory.used(), 0);
    }
}
