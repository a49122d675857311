//! Scans: the objects below a prefix in the order of their keys, page by page.

use super::{Engine, list::Listing, read::file_stat, sys::Disk};
use crate::{Error, ErrorKind, Key, Result, ScanPage, Scanned};

impl<D: Disk> Engine<D> {
    /// Reads only the directories that lie between `after` and the end of the page. Blocks.
    pub(super) fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        let mut objects = Vec::new();
        // One more than asked for tells whether there are more.
        let wanted = limit.saturating_add(1);
        self.scan_below(prefix.as_str(), after.map(Key::as_str), wanted, &mut objects)?;
        let more = objects.len() > limit;
        objects.truncate(limit);
        Ok(ScanPage { objects, more })
    }

    fn scan_below(
        &self,
        directory: &str,
        after: Option<&str>,
        wanted: usize,
        found: &mut Vec<Scanned>,
    ) -> Result<()> {
        let listing = self.listing(&Key::from_safe(directory.to_owned()))?;
        for (name, is_dir) in in_key_order(&listing) {
            if found.len() >= wanted {
                break;
            }
            let path = format!("{directory}/{name}");
            if !is_dir {
                if after.is_none_or(|after| path.as_str() > after) {
                    found.extend(self.scanned(path)?);
                }
                continue;
            }
            let below = format!("{path}/");
            match after {
                Some(after) if after.starts_with(&below) => {
                    self.scan_below(&path, Some(after), wanted, found)?;
                }
                // Everything below was on an earlier page.
                Some(after) if below.as_str() < after => {}
                _ => self.scan_below(&path, None, wanted, found)?,
            }
        }
        Ok(())
    }

    /// The entry of a file; `None` for a file that is gone, and for anything but a file.
    fn scanned(&self, path: String) -> Result<Option<Scanned>> {
        let key = Key::from_safe(path);
        let found = self
            .disk
            .stat(key.as_str())
            .map_err(|error| Error::io(format!("stat `{key}`"), error))
            .and_then(|metadata| file_stat(&key, &metadata));
        match found {
            Ok(stat) => Ok(Some(Scanned { key, stat })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The names of a directory as whole keys sort, in which the names of directories end with `/`: `a-b` comes before
/// what is below `a`, although `a` comes before `a-b`.
fn in_key_order(listing: &Listing) -> Vec<(&str, bool)> {
    let mut names: Vec<_> = listing.names().collect();
    // The names are almost in order, which a stable sort makes use of.
    names.sort_by(|one, other| key_bytes(*one).cmp(key_bytes(*other)));
    names
}

fn key_bytes((name, is_dir): (&str, bool)) -> impl Iterator<Item = u8> {
    name.bytes().chain(is_dir.then_some(b'/'))
}
