//! Two stores side by side: the objects below a prefix in either of them, page by page, in the order of their keys.

use std::cmp::Ordering;

use wharf_storage::{Error, Key, Scanned, Storage};

use crate::tree::scan::Scan;

/// An object of either store or of both.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Key,
    /// The object of the source.
    pub(super) here: Option<Scanned>,
    /// The size of the object of the destination.
    pub(super) there: Option<u64>,
}

/// The objects of two stores, in ascending order of their keys.
#[derive(Debug)]
pub(super) struct Join<'a> {
    from: Scan<'a>,
    to: Scan<'a>,
}

impl<'a> Join<'a> {
    pub(super) fn new(from: &'a dyn Storage, to: &'a dyn Storage, prefix: &Key) -> Self {
        Self {
            from: Scan::new(from, prefix),
            to: Scan::new(to, prefix),
        }
    }

    /// The next object.
    ///
    /// # Errors
    ///
    /// When a store cannot be listed.
    pub(super) async fn next(&mut self) -> Result<Option<Pair>, NotListed> {
        let failed = |is_source| move |error| NotListed { is_source, error };
        self.from.fill().await.map_err(failed(true))?;
        self.to.fill().await.map_err(failed(false))?;
        let order = match (self.from.first(), self.to.first()) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(here), Some(there)) => here.key.cmp(&there.key),
        };
        let here = order.is_le().then(|| self.from.take_first()).flatten();
        let there = order.is_ge().then(|| self.to.take_first()).flatten();
        let key = here.as_ref().or(there.as_ref()).map(|object| object.key.clone());
        Ok(key.map(|key| Pair {
            key,
            here,
            there: there.map(|object| object.stat.size),
        }))
    }
}

/// A failure to list one of the two stores.
#[derive(Debug)]
pub(super) struct NotListed {
    pub(super) is_source: bool,
    pub(super) error: Error,
}
