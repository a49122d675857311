//! What survives a cut of power: which of the unsynced changes, and which blocks of unsynced content.

/// What survives of unsynced content, survives in blocks of so many bytes.
const BLOCK: usize = 4096;

/// Which unsynced effects survive a cut of power.
#[derive(Debug, Clone, Copy)]
pub enum Survival {
    /// No effect.
    Nothing,
    /// Every effect.
    Everything,
    /// Only the later half.
    Later,
    /// Only the earlier half.
    Earlier,
    /// Some, chosen by this number.
    Some(u64),
}

/// Which name a directory keeps that is found under two.
pub(super) enum Name {
    Both,
    First,
    Last,
}

/// Decides what survives.
pub(super) struct Chooser {
    survival: Survival,
    state: u64,
}

impl Chooser {
    pub(super) fn new(survival: Survival) -> Self {
        let seed = if let Survival::Some(seed) = survival {
            seed
        } else {
            0
        };
        Self {
            survival,
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// Which name of a directory stays.
    pub(super) fn name(&mut self) -> Name {
        match self.survival {
            Survival::Some(_) => match self.next() % 3 {
                0 => Name::Both,
                1 => Name::First,
                _ => Name::Last,
            },
            _ => Name::Both,
        }
    }

    /// The next number of a well-known generator (SplitMix64).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether the change of this number, of `total`, survives.
    pub(super) fn keep(&mut self, index: usize, total: usize) -> bool {
        match self.survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Later => index >= total / 2,
            Survival::Earlier => index < total / 2,
            // Not always evenly: many images in which little is lost, or little is kept.
            Survival::Some(seed) => self.next() % 8 < 1 + seed % 7,
        }
    }

    /// What is left of a file that has `durable` on the disk and `cache` in memory.
    pub(super) fn content(&mut self, durable: &[u8], cache: &[u8]) -> Vec<u8> {
        let blocks = cache.len().div_ceil(BLOCK);
        let mut left = match self.survival {
            Survival::Nothing => return durable.to_vec(),
            Survival::Everything => return cache.to_vec(),
            Survival::Later | Survival::Earlier => cache.to_vec(),
            Survival::Some(_) => match self.next() % 4 {
                0 => durable.to_vec(),
                1 => {
                    // A length that was synced does not shrink by writing on behind it.
                    let shortest = durable.len().min(cache.len());
                    let more = usize::try_from(self.next()).unwrap_or(0) % (cache.len() - shortest + 1);
                    cache[..shortest + more].to_vec()
                }
                _ => cache.to_vec(),
            },
        };
        for (block, bytes) in left.chunks_mut(BLOCK).enumerate() {
            let old = durable.get(block * BLOCK..).unwrap_or_default();
            if !self.keep(block, blocks) {
                let known = bytes.len().min(old.len());
                bytes[..known].copy_from_slice(&old[..known]);
                bytes[known..].fill(0);
            }
        }
        left
    }
}
