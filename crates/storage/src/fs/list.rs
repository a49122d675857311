//! Listing directories: read once, sorted, kept as long as the directory does not change.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use quick_cache::{Weighter, sync::Cache};

use super::{
    Engine, blocking,
    read::version,
    sys::{Disk, Kind},
};
use crate::{Entry, Error, ErrorKind, Key, Page, Result, Version, key::is_component};

/// How much memory the listings may take together, in bytes.
const CACHED: u64 = 32 * 1024 * 1024;

/// The listings of directories that did not change since they were read.
pub(super) type Listings = Cache<Box<str>, Arc<Listing>, ByMemory>;

/// All names of one directory, in ascending order of their bytes.
pub(super) struct Listing {
    version: Option<Version>,
    /// All names, one after the other.
    names: Box<str>,
    /// Where each name ends, doubled, plus one for a directory.
    ends: Box<[u64]>,
    unreachable: Arc<[Box<str>]>,
    /// The directories without a certain object, once they were looked for
    without: OnceLock<Without>,
}

/// The directories in a listing that do not have an object, at a moment since the directory last changed.
pub(super) struct Without {
    /// Path of the object below each of them
    pub(super) object: Key,
    /// Numbers of the names, in ascending order
    pub(super) names: Box<[usize]>,
}

/// Weighs a listing by the memory that it takes.
#[derive(Debug, Clone)]
pub(super) struct ByMemory;

impl Weighter<Box<str>, Arc<Listing>> for ByMemory {
    fn weight(&self, path: &Box<str>, listing: &Arc<Listing>) -> u64 {
        (path.len() + listing.names.len() + size_of_val(&*listing.ends) + 128) as u64
    }
}

/// An empty cache.
pub(super) fn listings() -> Listings {
    Cache::with_weighter(256, CACHED, ByMemory)
}

impl<D: Disk> Engine<D> {
    pub(super) async fn list(
        self: &Arc<Self>,
        directory: &Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        if let Some(listing) = self.unchanged_listing(directory) {
            return Ok(listing.page(after, limit));
        }
        let (engine, directory) = (Arc::clone(self), directory.clone());
        let listing = blocking(move || engine.read_listing(&directory)).await?;
        Ok(listing.page(after, limit))
    }

    /// The listing that was read before, if the directory has not changed since.
    pub(super) fn unchanged_listing(&self, directory: &Key) -> Option<Arc<Listing>> {
        let listing = self.listings.get(directory.as_str())?;
        let now = self.disk.stat(directory.as_str()).ok()?;
        (listing.version.is_some() && listing.version == version(&now)).then_some(listing)
    }

    /// All names of a directory. Blocks.
    pub(super) fn listing(&self, directory: &Key) -> Result<Arc<Listing>> {
        match self.unchanged_listing(directory) {
            Some(listing) => Ok(listing),
            None => self.read_listing(directory),
        }
    }

    /// Reads the names of a directory and caches them. Blocks.
    fn read_listing(&self, directory: &Key) -> Result<Arc<Listing>> {
        match self.try_read_listing(directory.as_str()) {
            Ok(listing) => {
                let listing = Arc::new(listing);
                if listing.version.is_some() {
                    self.listings
                        .insert(directory.as_str().into(), Arc::clone(&listing));
                }
                Ok(listing)
            }
            Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => {
                Ok(Arc::new(Listing::new(None, &[])))
            }
            Err(error) => Err(Error::io(format!("list `{directory}`"), error)),
        }
    }

    fn try_read_listing(&self, directory: &str) -> io::Result<Listing> {
        let before = version(&self.disk.stat(directory)?);
        let mut entries: Vec<(Box<str>, Kind)> = Vec::new();
        let mut unreachable: Vec<Box<str>> = Vec::new();
        self.disk.read_directory(directory, &mut |name, kind| {
            // A name that cannot be part of a key is neither wharf's nor registry:2's.
            match std::str::from_utf8(name) {
                Ok(name) if is_component(name) && kind != Kind::Other => entries.push((name.into(), kind)),
                _ if kind == Kind::Directory => unreachable.push(String::from_utf8_lossy(name).into()),
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        for (name, kind) in entries.iter_mut().filter(|(_, kind)| *kind == Kind::Unknown) {
            // A link that leads nowhere stays unknown, which is not a directory.
            *kind = self
                .disk
                .stat(&format!("{directory}/{name}"))
                .map_or(Kind::Unknown, |found| found.kind);
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let unchanged = before == version(&self.disk.stat(directory)?);
        Ok(Listing {
            unreachable: unreachable.into(),
            ..Listing::new(before.filter(|_| unchanged), &entries)
        })
    }
}

impl<D: Disk> Engine<D> {
    /// Whether a directory that is called one of `wanted` lies below `name` in `directory`. Blocks.
    pub(super) fn has_directory_below(&self, directory: &Key, name: &str, wanted: &[String]) -> Result<bool> {
        let failed = |error| Error::io(format!("look into `{directory}/{name}`"), error);
        let above = self.disk.open_directory(directory.as_str()).map_err(failed)?;
        match self.disk.open_real_directory_at(&above, name) {
            Ok(below) => self.finds_directory(&below, wanted).map_err(failed),
            // Its name is not text, and what it holds is unknown.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(failed(error)),
        }
    }

    fn finds_directory(&self, directory: &D::Directory, wanted: &[String]) -> io::Result<bool> {
        let mut names = Vec::new();
        self.disk.read_open_directory(directory, &mut |name, kind| {
            if matches!(kind, Kind::Directory | Kind::Unknown) {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
            ControlFlow::Continue(())
        })?;
        for name in names {
            let below = match self.disk.open_real_directory_at(directory, &name) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotADirectory | io::ErrorKind::NotFound
                    ) =>
                {
                    continue;
                }
                other => other?,
            };
            if wanted.contains(&name) || self.finds_directory(&below, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Listing {
    fn new(version: Option<Version>, entries: &[(Box<str>, Kind)]) -> Self {
        let mut names = String::with_capacity(entries.iter().map(|(name, _)| name.len()).sum());
        let ends = entries.iter().map(|(name, kind)| {
            names.push_str(name);
            (names.len() as u64) * 2 + u64::from(*kind == Kind::Directory)
        });
        let ends = ends.collect();
        Self {
            version,
            names: names.into(),
            ends,
            unreachable: Arc::default(),
            without: OnceLock::new(),
        }
    }

    fn page(&self, after: Option<&str>, limit: usize) -> Page {
        let start = after.map_or(0, |after| self.first_above(after));
        let end = start.saturating_add(limit).min(self.ends.len());
        let entries = (start..end).map(|index| Entry {
            name: self.name(index).into(),
            is_dir: self.is_dir(index),
        });
        Page {
            entries: entries.collect(),
            more: end < self.ends.len(),
            version: self.version.clone(),
            unreachable: Arc::clone(&self.unreachable),
        }
    }

    /// Whether it is kept until the directory changes.
    pub(super) fn is_kept(&self) -> bool {
        self.version.is_some()
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The directories that do not have `object`, if they were looked for.
    pub(super) fn without(&self, object: &Key) -> Option<&[usize]> {
        let without = self.without.get()?;
        (without.object == *object).then_some(&*without.names)
    }

    /// Remembers which directories do not have an object. Only the first object is remembered.
    pub(super) fn remember(&self, without: Without) {
        // Another request may have been faster.
        drop(self.without.set(without));
    }

    /// The index of the first name above `after`.
    pub(super) fn first_above(&self, after: &str) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.name(middle) <= after {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Each name, and whether it is a directory.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        (0..self.ends.len()).map(|index| (self.name(index), self.is_dir(index)))
    }

    /// Whether the name is that of a directory.
    pub(super) fn is_dir(&self, index: usize) -> bool {
        self.ends[index] & 1 == 1
    }

    /// The name with that number.
    pub(super) fn name(&self, index: usize) -> &str {
        let end = |index: usize| usize::try_from(self.ends[index] / 2).unwrap_or(usize::MAX);
        &self.names[if index == 0 { 0 } else { end(index - 1) }..end(index)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_starts_strictly_after() {
        let names = ["a", "b", "bb", "d"].map(|name| {
            (
                name.into(),
                if name == "d" { Kind::Directory } else { Kind::File },
            )
        });
        let listing = Listing::new(None, &names);
        let page = |after, limit| {
            let page = listing.page(after, limit);
            (
                page.entries
                    .iter()
                    .map(|entry| entry.name.to_string())
                    .collect::<Vec<_>>()
                    .join(","),
                page.more,
            )
        };
        assert_eq!(page(None, 10), ("a,b,bb,d".into(), false));
        assert_eq!(page(None, 2), ("a,b".into(), true));
        assert_eq!(page(Some("b"), 2), ("bb,d".into(), false));
        assert_eq!(page(Some("ba"), usize::MAX), ("bb,d".into(), false));
        assert_eq!(page(Some("d"), 1), (String::new(), false));
        assert_eq!(page(None, 0), (String::new(), true));
        let dirs: Vec<_> = listing
            .page(None, 9)
            .entries
            .iter()
            .map(|entry| entry.is_dir)
            .collect();
        assert_eq!(dirs, [false, false, false, true]);
    }
}
