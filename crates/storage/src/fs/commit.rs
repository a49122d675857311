//! Writing objects so that each appears whole, in order, and is durable before the next: staging and placing.
//!
//! A commit has two phases. **Staging** writes everything in `wharf/staging`, where no reader
//! looks, and syncs it: the files, and, where the directory of an object does not exist yet, a
//! tree that holds the missing chain of directories with the files in it. Writeback of all files
//! starts before the first sync waits, so that the syncs share what the journal has to do.
//! **Placing** renames one after the other to where it belongs, and syncs the directory that it
//! was renamed into before the next one moves (I2, I3). A tree takes one rename, so that a new tag
//! appears with its history at once, and so does what follows in the same commit below the same
//! missing directory. For one file that is not of a tag, the missing directories are made in place: each must be synced
//! wherever it is made, and a tree costs one sync more.
//!
//! A tree that was renamed may be found under its old name after a cut of power, and staging is emptied at every start. So
//! each tree is staged in a directory that holds no other one, its holder, which is synced as well before anything relies on
//! the tree. Holders are used again: making and removing them costs more than their sync.
//!
//! A program that removes `wharf/` may empty a tree between its sync and its rename. So a tree is looked at once it is in
//! its place, and what is missing is written again.
//!
//! Before anything is placed, what other requests placed earlier is durable ([`unsettled`](super::unsettled)). What is placed
//! below a directory that is not known to be durable may lie in a tree that another request placed meanwhile, so that
//! tree is durable, with the loss of its old name, before what was placed counts as such.
//!
//! A directory may appear or vanish between the two phases, made or removed by another request.
//! Then what is not placed yet is staged anew and the work goes on from there.

use std::{
    collections::BTreeSet,
    io::{self, IoSlice},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;

use super::{
    Engine,
    directories::{Chain, Opened, below, is_at_or_below, parent},
    read::is_of_version,
    sys::Disk,
    unsettled::{Change, Moment},
};
use crate::{Condition, Error, ErrorKind, Put, Result, layout};

/// Attempts before a commit gives up. A failed attempt means that another request made progress meanwhile.
const ATTEMPTS: u32 = 100;
/// How many empty holders are kept.
const HOLDERS: usize = 64;

/// One object on its way to its place.
pub(super) struct Item<D: Disk> {
    /// Final path of the object
    path: String,
    content: Content<D>,
    condition: Condition,
    /// The time that the file is to have; `None`: that of the write
    modified: Option<SystemTime>,
    /// Path to move it back to when the commit fails; otherwise it is removed.
    home: Option<String>,
}

enum Content<D: Disk> {
    /// Bytes that are still to be written
    Bytes(Vec<Bytes>),
    /// A file that was written whole, to `path`
    File {
        path: String,
        unsynced: Option<Arc<D::File>>,
        /// The bytes of a small one
        frames: Option<Vec<Bytes>>,
    },
    /// The object is at its final path
    Placed,
}

/// The items that one rename puts in place.
struct Unit<D: Disk> {
    /// Number of items that it holds
    items: usize,
    tree: Option<Tree<D>>,
}

/// A chain of missing directories, and maybe branches of it.
struct Tree<D: Disk> {
    /// Path at which its top belongs
    top: String,
    /// The directory that it alone is staged in
    holder: Holder<D>,
    /// The directories in it, relative to the top, whose name is the empty string.
    directories: BTreeSet<String>,
}

/// A directory in staging that holds one tree at a time.
pub(super) struct Holder<D: Disk> {
    path: String,
    /// The directory itself; `None` once its sync has failed
    opened: Option<D::Directory>,
}

enum Outcome {
    Done,
    /// A directory appeared or vanished.
    Overtaken,
    /// The condition of the object does not hold.
    Refused,
}

impl<D: Disk> Item<D> {
    /// A small object.
    pub(super) fn put(put: &Put) -> Self {
        Self {
            condition: put.condition.clone(),
            modified: put.modified,
            ..Self::bytes(put.key.as_str(), vec![put.bytes.clone()])
        }
    }

    /// An object of `frames`.
    pub(super) fn bytes(path: &str, frames: Vec<Bytes>) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Bytes(frames),
            condition: Condition::None,
            modified: None,
            home: None,
        }
    }

    /// A file that was written to `home` and is not synced yet.
    pub(super) fn file(path: &str, home: String, open: Arc<D::File>) -> Self {
        let content = Content::File {
            path: home.clone(),
            unsynced: Some(open),
            frames: None,
        };
        Self {
            path: path.to_owned(),
            content,
            condition: Condition::None,
            modified: None,
            home: Some(home),
        }
    }

    /// Whether there must be an object for it to take the place of.
    fn replaces(&self) -> bool {
        matches!(self.condition, Condition::Matches(_))
    }
}

impl<D: Disk> Engine<D> {
    /// Makes all of `items` visible and durable, in order. Blocks.
    pub(super) fn commit(&self, mut items: Vec<Item<D>>) -> Result<()> {
        let mut units = Vec::new();
        let seen = self.unsettled.now();
        self.confirm_lock()?;
        let result = self.try_commit(seen, &mut items, &mut units);
        if result.is_err() {
            self.clean_up(&mut items, &units);
        }
        result
    }

    fn try_commit(&self, seen: Moment, items: &mut [Item<D>], units: &mut Vec<Unit<D>>) -> Result<()> {
        let mut placed = 0;
        for _ in 0..ATTEMPTS {
            self.stage(&mut items[placed..], units)?;
            self.settle(seen)
                .map_err(|error| Error::io("sync what earlier requests wrote", error))?;
            match self.place(items, &mut placed, units)? {
                Outcome::Done => return Ok(()),
                Outcome::Overtaken => {}
                Outcome::Refused => return Err(refused(&items[placed])),
            }
            self.take_apart(&mut items[placed..], units)?;
        }
        let path = &items[placed].path;
        Err(Error::new(
            ErrorKind::Other,
            format!(
                "write `{path}`: gave up after {ATTEMPTS} attempts: other requests create and remove directories above it"
            ),
        ))
    }

    /// Writes and syncs everything that is to be placed.
    fn stage(&self, items: &mut [Item<D>], units: &mut Vec<Unit<D>>) -> Result<()> {
        let mut start = 0;
        while start < items.len() {
            let (items, tree) = self.plan(&items[start..])?;
            units.push(Unit { items, tree });
            start += items;
        }
        let mut rest = &mut items[..];
        for unit in units.iter_mut() {
            let (these, others) = rest.split_at_mut(unit.items);
            rest = others;
            match &mut unit.tree {
                Some(tree) => self.write_tree(tree, these)?,
                None => these
                    .iter_mut()
                    .try_for_each(|item| self.write_file(item, self.staging_path(&item.path)))?,
            }
        }
        items.iter_mut().try_for_each(|item| self.sync_file(item))?;
        units
            .iter()
            .filter_map(|unit| unit.tree.as_ref())
            .try_for_each(|tree| self.sync_tree(tree))
    }

    /// How many of the first `items` go together, and the tree that they need.
    fn plan(&self, items: &[Item<D>]) -> Result<(usize, Option<Tree<D>>)> {
        let path = &items[0].path;
        // What is to replace an object needs its directory; whether that is there counts when it is placed.
        if items[0].replaces() {
            return Ok((1, None));
        }
        let opened = self
            .directories
            .open(&self.disk, parent(path))
            .map_err(|error| writing(path, error))?;
        match opened {
            Opened::Found(chain) => {
                self.directories.release(&chain);
                Ok((1, None))
            }
            Opened::Missing(top) => {
                let mut seen = BTreeSet::new();
                let together = items.iter().take_while(|item| {
                    // A tree holds one file of each name; a later one of the same name replaces it afterwards.
                    is_at_or_below(parent(&item.path), &top) && !item.replaces() && seen.insert(&item.path)
                });
                let together = together.count();
                if together == 1 && is_made_in_place(path, &top) {
                    return Ok((1, None));
                }
                let tree = Tree {
                    holder: self.take_holder(&top).map_err(|error| writing(path, error))?,
                    top,
                    directories: BTreeSet::new(),
                };
                Ok((together, Some(tree)))
            }
        }
    }

    /// An empty holder for a tree that goes to `path`. Another program may have removed it.
    fn take_holder(&self, path: &str) -> io::Result<Holder<D>> {
        let staging = self.staging_of(path);
        let mut holders = self.holders.lock();
        let found = holders.iter().position(|holder| parent(&holder.path) == staging);
        match found.map(|position| holders.swap_remove(position)) {
            Some(holder) => Ok(holder),
            None => {
                drop(holders);
                self.new_holder(path)
            }
        }
    }

    fn new_holder(&self, path: &str) -> io::Result<Holder<D>> {
        let path = self.staging_path(path);
        self.in_staging(&path, || self.disk.create_directory(&path))?;
        let opened = Some(self.disk.open_directory(&path)?);
        Ok(Holder { path, opened })
    }

    /// Keeps the holder of a tree that found its place.
    fn keep_holder(&self, holder: Holder<D>) {
        let mut holders = self.holders.lock();
        if holders.len() < HOLDERS {
            holders.push(holder);
            return;
        }
        drop(holders);
        if let Err(error) = self.disk.remove_directory(&holder.path) {
            tracing::debug!(path = holder.path, %error, "left an empty directory to the next start");
        }
    }

    /// Writes an item's bytes to a new file; a file that was written before stays where it is.
    fn write_file(&self, item: &mut Item<D>, to: String) -> Result<()> {
        let Content::Bytes(frames) = &mut item.content else {
            return Ok(());
        };
        let frames = std::mem::take(frames);
        let file = self
            .in_staging(&to, || match layout::is_private(&item.path) {
                true => self.disk.create_private(&to),
                false => self.disk.create(&to),
            })
            .map_err(|error| writing(&item.path, error))?;
        let (written, mut result) = write_frames(&self.disk, &file, &frames, 0);
        if let (Ok(()), Some(time)) = (&result, item.modified) {
            result = self.disk.set_modified(&file, time);
        }
        if result.is_ok() {
            self.disk.start_writeback(&file, 0, written);
        }
        item.content = Content::File {
            path: to,
            unsynced: Some(Arc::new(file)),
            frames: Some(frames),
        };
        result.map_err(|error| writing(&item.path, error))
    }

    /// Builds a tree with its files.
    fn write_tree(&self, tree: &mut Tree<D>, items: &mut [Item<D>]) -> Result<()> {
        for item in items {
            let inside = item.path[tree.top.len() + 1..].to_owned();
            self.create_in_tree(tree, parent(&inside))
                .map_err(|error| writing(&item.path, error))?;
            let to = tree.staged_path(&inside);
            if let Content::File { path, .. } = &mut item.content {
                self.rename(path, &to)
                    .map_err(|error| writing(&item.path, error))?;
                *path = to;
            } else {
                self.write_file(item, to)?;
            }
        }
        Ok(())
    }

    fn create_in_tree(&self, tree: &mut Tree<D>, inside: &str) -> io::Result<()> {
        if tree.directories.contains(inside) {
            return Ok(());
        }
        if !inside.is_empty() {
            self.create_in_tree(tree, parent(inside))?;
        }
        match self.disk.create_directory(&tree.staged_path(inside)) {
            // Another program has removed the holder.
            Err(error) if error.kind() == io::ErrorKind::NotFound && inside.is_empty() => {
                tree.holder = self.new_holder(&tree.top)?;
                self.disk.create_directory(&tree.staged_path(inside))?;
            }
            other => other?,
        }
        tree.directories.insert(inside.to_owned());
        Ok(())
    }

    /// After a failed sync it is unknown what of the file is on the disk, and a second sync would
    /// not tell either: the file is as good as not written, and is removed.
    fn sync_file(&self, item: &mut Item<D>) -> Result<()> {
        let Content::File { unsynced, .. } = &mut item.content else {
            return Ok(());
        };
        let Some(file) = unsynced.take() else {
            return Ok(());
        };
        self.disk.sync_file(&file).map_err(|error| {
            item.home = None;
            writing(&item.path, error)
        })
    }

    fn sync_tree(&self, tree: &Tree<D>) -> Result<()> {
        // Longest first is deepest first; the order does not matter here, no reader sees the tree yet.
        let mut directories = tree.directories.iter().rev();
        directories
            .try_for_each(|inside| self.sync_staged(tree, inside))
            .map_err(|error| writing(&tree.top, error))
    }

    fn sync_staged(&self, tree: &Tree<D>, inside: &str) -> io::Result<()> {
        let directory = self.disk.open_directory(&tree.staged_path(inside))?;
        self.disk.sync_directory(&directory)
    }

    /// Renames each unit to its place, durably before the next one.
    fn place(&self, items: &mut [Item<D>], placed: &mut usize, units: &mut Vec<Unit<D>>) -> Result<Outcome> {
        while let Some(unit) = units.first_mut() {
            let these = &mut items[*placed..*placed + unit.items];
            let outcome = match &mut unit.tree {
                Some(tree) => self
                    .place_tree(tree, these)
                    .map_err(|error| writing(&tree.top, error))?,
                None => self
                    .place_file(&these[0])
                    .map_err(|error| writing(&these[0].path, error))?,
            };
            if !matches!(outcome, Outcome::Done) {
                return Ok(outcome);
            }
            these.iter_mut().for_each(|item| item.content = Content::Placed);
            *placed += unit.items;
            if let Some(tree) = units.remove(0).tree {
                self.keep_holder(tree.holder);
            }
        }
        Ok(Outcome::Done)
    }

    fn place_file(&self, item: &Item<D>) -> io::Result<Outcome> {
        let Content::File { path: from, .. } = &item.content else {
            return Ok(Outcome::Done);
        };
        let directory = parent(&item.path);
        let chain = match self.directories.open(&self.disk, directory)? {
            Opened::Found(chain) => chain,
            Opened::Missing(_) if item.replaces() => return Ok(Outcome::Refused),
            Opened::Missing(top) if is_made_in_place(&item.path, &top) => {
                match self.make_in_place(directory, &top)? {
                    Some(chain) => chain,
                    None => return Ok(Outcome::Overtaken),
                }
            }
            Opened::Missing(_) => return Ok(Outcome::Overtaken),
        };
        let change = self.unsettled.begin();
        match self.rename_if_allowed(item, from, chain.directory()) {
            Ok(true) => self.sync_change(change, chain).map(|()| Outcome::Done),
            Ok(false) => {
                self.directories.release(&chain);
                Ok(Outcome::Refused)
            }
            Err(error) => {
                self.directories.release(&chain);
                let outcome = self.overtaken(error, from);
                if outcome.is_err() {
                    // The name may be there all the same: a rename of two steps may fail in the second.
                    change.fail(chain.into_directories());
                }
                outcome
            }
        }
    }

    /// Makes the directories of `path` from `top` on, and opens it; `None` when another request changed what is above it.
    fn make_in_place(&self, path: &str, top: &str) -> io::Result<Option<Chain<D>>> {
        let above = parent(top);
        let Opened::Found(mut chain) = self.directories.open(&self.disk, above)? else {
            return Ok(None);
        };
        let made = below(path, above.len()).try_for_each(|(next, _)| {
            // Where only the last one is missing, it is the object's own.
            self.directories.make(&self.disk, &mut chain, next, top != path)
        });
        match made {
            Ok(()) => Ok(Some(chain)),
            Err(error) => {
                self.directories.release(&chain);
                match error.kind() {
                    io::ErrorKind::NotFound => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }

    /// Syncs what `change` changed in the directory that `chain` ends in.
    pub(super) fn sync_change(&self, change: Change<D>, chain: Chain<D>) -> io::Result<()> {
        if let Err(error) = self.directories.sync_chain(&self.disk, &chain) {
            self.directories.release(&chain);
            change.fail(chain.into_directories());
            return Err(error);
        }
        self.end_change(change, &chain).map(drop)
    }

    /// Ends a change that was synced with its chain, as soon as the trees of other requests that the chain may go through
    /// are durable. Returns whether the path led to the directory all the time.
    fn end_change(&self, change: Change<D>, chain: &Chain<D>) -> io::Result<bool> {
        // Requests wait for each other only without a change of their own.
        drop(change);
        let settled = if chain.relies_on_others() {
            self.settle(self.unsettled.now())
        } else {
            Ok(())
        };
        let same = self.directories.end(chain, settled.is_ok());
        settled.map(|()| same)
    }

    /// Renames the file `from` to the place of `item`, if the item's condition holds: nothing else in this process
    /// writes or removes that object between the check and the rename. Returns whether it did.
    ///
    /// A tree needs no check: it is placed only where no directory is, and so no object.
    fn rename_if_allowed(&self, item: &Item<D>, from: &str, directory: &D::Directory) -> io::Result<bool> {
        let name = name(&item.path);
        let _lock = self.keys.lock(&item.path);
        match &item.condition {
            Condition::None => {}
            Condition::Absent => {
                return match self.disk.rename_new(from, directory, name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                    other => other.map(|()| true),
                };
            }
            Condition::Matches(version) => match self.disk.stat_at(directory, name) {
                Ok(found) if is_of_version(&found, version) => {}
                Err(error) if ErrorKind::of(&error) != ErrorKind::NotFound => return Err(error),
                _ => return Ok(false),
            },
        }
        self.disk.rename(from, directory, name).map(|()| true)
    }

    fn place_tree(&self, tree: &mut Tree<D>, items: &mut [Item<D>]) -> io::Result<Outcome> {
        let holder = match tree.holder.opened.take() {
            Some(holder) => holder,
            None => self.disk.open_directory(&tree.holder.path)?,
        };
        let Opened::Found(chain) = self.directories.open(&self.disk, parent(&tree.top))? else {
            return Ok(Outcome::Overtaken);
        };
        let change = self.unsettled.begin();
        let staged = tree.staged_path("");
        let rename = || self.disk.rename(&staged, chain.directory(), name(&tree.top));
        let placed = match self.directories.place(&tree.top, rename) {
            Ok(placed) => placed,
            Err(error) => {
                self.directories.release(&chain);
                return self.overtaken(error, &staged);
            }
        };
        let synced = self
            .directories
            .sync_chain(&self.disk, &chain)
            .and_then(|()| self.disk.sync_directory(&holder));
        if let Err(error) = synced {
            self.directories.release(&chain);
            change.fail(chain.into_directories().chain([holder]));
            placed.uncertain(&self.directories);
            return Err(error);
        }
        let ended = self.end_change(change, &chain);
        if matches!(ended, Ok(true)) {
            let inside = tree.directories.iter().filter(|inside| !inside.is_empty());
            placed.durable(
                &self.directories,
                inside.map(|inside| format!("{}/{inside}", tree.top)),
            );
        } else {
            placed.uncertain(&self.directories);
        }
        ended?;
        tree.holder.opened = Some(holder);
        self.is_whole_or_begins_again(items)
    }

    /// Looks whether the files of a tree are in their places. If not, all of them are to be written again.
    fn is_whole_or_begins_again(&self, items: &mut [Item<D>]) -> io::Result<Outcome> {
        let mut is_whole = true;
        for item in &*items {
            match self.disk.stat(&item.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => is_whole = false,
                other => drop(other?),
            }
        }
        if is_whole {
            return Ok(Outcome::Done);
        }
        for item in items {
            let Content::File {
                frames: Some(frames), ..
            } = &mut item.content
            else {
                let why =
                    "another program has removed files from `wharf/staging` while they were used; push again";
                return Err(io::Error::other(why));
            };
            item.content = Content::Bytes(std::mem::take(frames));
        }
        Ok(Outcome::Overtaken)
    }

    /// Whether a rename failed because another request made or removed the directory meanwhile.
    fn overtaken(&self, error: io::Error, from: &str) -> io::Result<Outcome> {
        match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Ok(Outcome::Overtaken),
            io::ErrorKind::NotFound => self.disk.stat(from).map(|_| Outcome::Overtaken),
            _ => Err(error),
        }
    }

    /// Takes files out of the trees that did not find their place.
    fn take_apart(&self, items: &mut [Item<D>], units: &mut Vec<Unit<D>>) -> Result<()> {
        for item in items {
            let Content::File { path, .. } = &mut item.content else {
                continue;
            };
            if units
                .iter()
                .filter_map(|unit| unit.tree.as_ref())
                .any(|tree| is_at_or_below(path, &tree.holder.path))
            {
                let loose = self.staging_path(&item.path);
                self.rename(path, &loose)
                    .map_err(|error| writing(&item.path, error))?;
                *path = loose;
            }
        }
        for tree in units.drain(..).filter_map(|unit| unit.tree) {
            self.remove_recursively(&tree.holder.path)
                .map_err(|error| writing(&tree.top, error))?;
        }
        Ok(())
    }

    /// After an error: nothing stays in staging, and an upload's bytes go back to where they were.
    fn clean_up(&self, items: &mut [Item<D>], units: &[Unit<D>]) {
        let tidy = |result: io::Result<()>, path: &str| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path, %error, "could not tidy up after a failed write; the next start will");
            }
            _ => {}
        };
        for item in items {
            let Content::File { path, .. } = &item.content else {
                continue;
            };
            match &item.home {
                Some(home) if home == path => {}
                Some(home) => tidy(self.rename(path, home), path),
                None => tidy(self.disk.remove_file(path), path),
            }
        }
        for tree in units.iter().filter_map(|unit| unit.tree.as_ref()) {
            tidy(self.remove_recursively(&tree.holder.path), &tree.holder.path);
        }
    }

    /// Creates a directory, and those above it that are missing. Nothing is synced.
    pub(super) fn create_directories(&self, path: &str) -> io::Result<()> {
        match self.disk.create_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let above = parent(path);
        // These may be looked for in the set of durable directories, so they are created under its lock.
        match self
            .directories
            .change(above, || self.create_directories_above(above))
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        self.disk.create_directory(path)
    }

    fn create_directories_above(&self, path: &str) -> io::Result<()> {
        match self.disk.create_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_empty() => {
                self.create_directories_above(parent(path))?;
                self.disk.create_directory(path)
            }
            other => other,
        }
    }

    /// Moves a file without any claim to durability.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk
            .rename(from, &self.disk.open_directory(parent(to))?, name(to))
    }
}

impl<D: Disk> Tree<D> {
    /// Path of what is `inside` it while it is staged; the empty string is the tree itself.
    fn staged_path(&self, inside: &str) -> String {
        let separator = if inside.is_empty() { "" } else { "/" };
        format!("{}/tree{separator}{inside}", self.holder.path)
    }
}

impl<D: Disk> Engine<D> {
    /// Writes `text` to a new file that is no object, without any claim to durability.
    pub(super) fn write_new(&self, path: &str, text: String) -> io::Result<()> {
        let file = self.disk.create(path)?;
        let (_, written) = write_frames(&self.disk, &file, &[Bytes::from(text)], 0);
        written
    }
}

/// Writes `frames` one after the other at `offset`; returns how many bytes surely are in the file.
pub(super) fn write_frames<D: Disk>(
    disk: &D,
    file: &D::File,
    frames: &[Bytes],
    offset: u64,
) -> (u64, io::Result<()>) {
    let mut slices: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
    let mut slices = &mut slices[..];
    let mut written = 0;
    // Without the empty ones, each turn writes at least one byte.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match disk.write_at(file, slices, offset + written) {
            Ok(count) => {
                written += count as u64;
                IoSlice::advance_slices(&mut slices, count);
            }
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn refused<D: Disk>(item: &Item<D>) -> Error {
    let why = match item.condition {
        Condition::Absent => "there is an object already",
        _ => "it is no longer of the version that was to be replaced",
    };
    Error::new(ErrorKind::Precondition, format!("write `{}`: {why}", item.path))
}

/// Whether the directories of the file `path` are made where they belong, when they are missing from `top` on: a tag must
/// not be seen without its link.
fn is_made_in_place(path: &str, top: &str) -> bool {
    top == parent(path) || !layout::is_of_tag(path)
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The error of a write. That something is missing on the way does not mean that the object is.
pub(super) fn writing(path: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::CrossesDevices => Error::with_source(
            ErrorKind::Other,
            format!(
                "write `{path}`: it lies on another file system than what is staged for it; restart the registry after mounting"
            ),
            error,
        ),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Error::with_source(ErrorKind::Other, format!("write `{path}`"), error)
        }
        _ => Error::io(format!("write `{path}`"), error),
    }
}
