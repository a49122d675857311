//! The free space below which the trash gives deletions up, the oldest first.

use wharf_storage::Space;

/// How much space is to be free before the trash gives deletions up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pressure {
    /// It gives none up for want of space.
    #[default]
    Off,
    /// So many hundredths of the file system.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
}

impl Pressure {
    /// Whether less of `space` is free than there should be.
    pub fn is_felt(self, space: Space) -> bool {
        let wanted = match self {
            Self::Off => 0,
            Self::Percent(percent) => u128::from(space.total) * u128::from(percent) / 100,
            Self::Bytes(bytes) => u128::from(bytes),
        };
        u128::from(space.free) < wanted
    }

    /// How many of the oldest of `records` the trash gives up at once. What they free is known only after a collection, so that is
    /// a quarter of them: of many deletions most stay if that is enough, and it takes few collections to give all of them up.
    pub(crate) fn share_of(self, records: usize, space: Option<Space>) -> usize {
        match space {
            Some(space) if self.is_felt(space) => records.div_ceil(4),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_are_given_up_when_less_is_free_than_wanted() {
        let space = |free| Some(Space { free, total: 1000 });
        for (pressure, free, given_up) in [
            (Pressure::Percent(5), 50, 0),
            (Pressure::Percent(5), 49, 3),
            (Pressure::Bytes(500), 500, 0),
            (Pressure::Bytes(500), 499, 3),
            (Pressure::Bytes(2000), 1000, 3),
            (Pressure::Percent(0), 0, 0),
            (Pressure::Off, 0, 0),
        ] {
            assert_eq!(
                pressure.share_of(10, space(free)),
                given_up,
                "{pressure:?} {free}"
            );
        }
        let pressure = Pressure::Percent(5);
        assert_eq!(
            [0, 1, 4, 5].map(|records| pressure.share_of(records, space(0))),
            [0, 1, 1, 2]
        );
        // A bucket has no end.
        assert_eq!(pressure.share_of(10, None), 0);
        let all = Space {
            free: u64::MAX / 2,
            total: u64::MAX,
        };
        assert!(Pressure::Percent(100).is_felt(all));
    }
}
