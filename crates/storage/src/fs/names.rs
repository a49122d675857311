//! Names in a directory below which certain files are: looked for once, and remembered as long as the directory does not
//! change.

use super::{
    Engine,
    list::{Listing, Without},
    sys::{Disk, Kind},
};
use crate::{Error, ErrorKind, Found, FoundPage, Key, Result, Wanted};

impl<D: Disk> Engine<D> {
    /// A page of the names in `directory` with what is `wanted`, if it is known without another look at the disk than one
    /// at the directory.
    pub(super) fn known_names(
        &self,
        directory: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Option<FoundPage> {
        if !wanted.besides.is_empty() {
            return None;
        }
        let listing = self.unchanged_listing(directory)?;
        // One that does not have it may have got it since.
        let has_all = listing.without(wanted.object).is_some_and(<[usize]>::is_empty);
        has_all.then(|| page(listing.directories_after(after), &listing, limit))
    }

    /// A page of the names in `directory` with what is `wanted`. Blocks.
    pub(super) fn names_with(
        &self,
        directory: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage> {
        let listing = self.listing(directory)?;
        let looking = Looking::at(self, directory, &listing)?;
        let wanted_names = limit.saturating_add(1);
        let names = match wanted.besides {
            [] => looking.with(wanted.object, after, wanted_names)?,
            besides => looking.with_one_of(besides, wanted.object, after, wanted_names)?,
        };
        Ok(page(names.into_iter(), &listing, limit))
    }

    /// Whether a directory in `directory` that `counts` has the file `object`, and that is not empty. Blocks.
    pub(super) fn any_name_with(
        &self,
        directory: &Key,
        object: &Key,
        counts: fn(&str) -> bool,
    ) -> Result<bool> {
        let listing = self.listing(directory)?;
        let looking = Looking::at(self, directory, &listing)?;
        for index in listing.directories_after(None) {
            if counts(listing.name(index)) && looking.has(index, object)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A look at the names of one directory.
struct Looking<'a, D: Disk> {
    engine: &'a Engine<D>,
    directory: &'a Key,
    listing: &'a Listing,
    /// The open directory, from which on the system follows short paths; `None`: there are few names, or the directory is gone.
    open: Option<D::Directory>,
}

/// From how many names on it pays to open their directory.
const MANY: usize = 4;

impl<'a, D: Disk> Looking<'a, D> {
    fn at(engine: &'a Engine<D>, directory: &'a Key, listing: &'a Listing) -> Result<Self> {
        let open = match listing.len() < MANY {
            true => None,
            false => match engine.disk.open_directory(directory.as_str()) {
                Ok(open) => Some(open),
                Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => None,
                Err(error) => return Err(Error::io(format!("open the directory `{directory}`"), error)),
            },
        };
        Ok(Self {
            engine,
            directory,
            listing,
            open,
        })
    }

    /// The first `most` names after `after` that have `object`. When the directory stays as it is, those that do not are
    /// remembered, and they alone are looked at the next time.
    fn with(&self, object: &Key, after: Option<&str>, most: usize) -> Result<Vec<usize>> {
        if self.listing.is_kept() && self.listing.without(object).is_none() {
            let mut names = Vec::new();
            for index in self.listing.directories_after(None) {
                if !self.is_full(index, object)? {
                    names.push(index);
                }
            }
            self.listing.remember(Without {
                object: object.clone(),
                names: names.into(),
            });
        }
        let mut found = Vec::new();
        for index in self.listing.directories_after(after) {
            if found.len() == most {
                break;
            }
            if self.has(index, object)? {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// The first `most` names after `after` that have one of `besides`, and `object`.
    fn with_one_of(
        &self,
        besides: &[Key],
        object: &Key,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        for index in self.listing.directories_after(after) {
            if found.len() == most {
                break;
            }
            if self.has_one_of(index, besides)? && self.is_full(index, object)? {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// Whether the name has `object`, by what is known of it.
    fn has(&self, index: usize, object: &Key) -> Result<bool> {
        match self.listing.without(object) {
            Some(without) if without.binary_search(&index).is_err() => Ok(true),
            _ => self.is_full(index, object),
        }
    }

    fn has_one_of(&self, index: usize, paths: &[Key]) -> Result<bool> {
        for path in paths {
            if self.size(index, path)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the file at `path` below the name is there and not empty.
    fn is_full(&self, index: usize, path: &Key) -> Result<bool> {
        Ok(self.size(index, path)?.is_some_and(|size| size > 0))
    }

    fn size(&self, index: usize, path: &Key) -> Result<Option<u64>> {
        let (disk, name) = (&self.engine.disk, self.listing.name(index));
        let looked = match &self.open {
            Some(directory) => disk.stat_at(directory, &format!("{name}/{path}")),
            None => disk.stat(&format!("{}/{name}/{path}", self.directory)),
        };
        match looked {
            Ok(metadata) => Ok((metadata.kind == Kind::File).then_some(metadata.size)),
            Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(
                format!("stat `{}/{name}/{path}`", self.directory),
                error,
            )),
        }
    }
}

impl Listing {
    /// The numbers of the directories after the name `after`.
    pub(super) fn directories_after(&self, after: Option<&str>) -> impl Iterator<Item = usize> {
        let first = after.map_or(0, |after| self.first_above(after));
        (first..self.len()).filter(|index| self.is_dir(*index))
    }
}

fn page(mut names: impl Iterator<Item = usize>, listing: &Listing, limit: usize) -> FoundPage {
    let found = names.by_ref().take(limit).map(|index| Found {
        name: listing.name(index).into(),
        version: None,
        modified: None,
        others: Vec::new(),
    });
    FoundPage {
        found: found.collect(),
        more: names.next().is_some(),
    }
}
