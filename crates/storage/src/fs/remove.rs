//! Removing: objects with the directories that become empty, and whole trees.

use std::{io, ops::ControlFlow};

use super::{
    Engine,
    directories::{is_at_or_below, parent},
    sys::{Disk, Kind},
    unsettled::Change,
    upload::directory_of,
};
use crate::{Error, ErrorKind, Key, Removal, Result, TreeRemoval, layout::UploadKey};

/// How many names are held in memory while a directory is emptied or searched.
const BATCH: usize = 1024;

impl<D: Disk> Engine<D> {
    /// Removes a file and the directories above it that became empty. Blocks.
    pub(super) fn remove(&self, key: &Key, keep: &Key) -> Result<()> {
        let path = key.as_str();
        self.confirm_lock()?;
        self.settle(self.unsettled.now())
            .and_then(|()| self.try_remove(path, keep.as_str()))
            .map_err(|error| Error::io(format!("remove `{path}`"), error))
    }

    /// All directories are opened before anything goes: what is synced at the end is the very
    /// directory out of which something was removed. One sync is enough, that of the lowest
    /// directory that stays: with it, everything below is out of reach.
    fn try_remove(&self, path: &str, keep: &str) -> io::Result<()> {
        let lowest = parent(path);
        let below_keep = is_at_or_below(lowest, keep);
        let highest = if below_keep { keep } else { lowest };
        let mut opened = vec![(highest, self.disk.open_directory(highest)?)];
        let mut start = highest.len();
        while start < lowest.len() {
            let rest = &lowest[start + 1..];
            let end = start + 1 + rest.find('/').unwrap_or(rest.len());
            let next = self
                .disk
                .open_directory_at(&opened[opened.len() - 1].1, &lowest[start + 1..end])?;
            opened.push((&lowest[..end], next));
            start = end;
        }
        let removed = self.unsettled.begin();
        {
            let _lock = self.keys.lock(path);
            self.disk
                .remove_file_at(&opened[opened.len() - 1].1, last_component(path))?;
        }
        while let [.., above, (empty, _)] = &opened[..] {
            let remove = || self.disk.remove_directory_at(&above.1, last_component(empty));
            match self.directories.change(empty, remove) {
                Ok(()) => {}
                // Another request removed it; its durability is up to this request.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Not empty, or not permitted: the object is removed all the same.
                Err(_) => break,
            }
            opened.pop();
        }
        match opened.pop() {
            Some((_, lowest)) => self.sync_removal(removed, lowest),
            None => Ok(()),
        }
    }

    /// Syncs the directory out of which a name went.
    fn sync_removal(&self, removed: Change<D>, directory: D::Directory) -> io::Result<()> {
        let result = self.directories.sync(&self.disk, &directory);
        if result.is_err() {
            removed.fail([directory]);
        }
        result
    }

    /// Removes many files with the directories above them that became empty. Blocks.
    ///
    /// Of removals that follow each other, those in one directory share its being opened, and its sync: it comes
    /// when the walk leaves the directory. So it is the very directory out of which something was removed that is
    /// synced, as in [`remove`](Self::remove), and nothing but the lowest one that stays.
    pub(super) fn remove_many(&self, removals: &[Removal]) -> Result<()> {
        self.confirm_lock()?;
        self.settle(self.unsettled.now())
            .map_err(|error| Error::io("sync what earlier requests wrote", error))?;
        let mut walk = Walk::default();
        for removal in removals {
            walk.remove(self, removal)
                .map_err(|error| Error::io(format!("remove `{}`", removal.key), error))?;
        }
        walk.leave_all(self)
            .map_err(|error| Error::io("sync what was removed", error))
    }

    /// Removes everything at and below `path`; it vanishes at once. Blocks.
    pub(super) fn remove_tree(&self, path: &Key) -> Result<()> {
        let path = path.as_str();
        let staged = self.staging_path(path);
        let failed = |error| Error::io(format!("remove `{path}`"), error);
        self.confirm_lock()?;
        self.settle(self.unsettled.now()).map_err(failed)?;
        let above = self.disk.open_directory(parent(path)).map_err(failed)?;
        let staging = self
            .in_staging(&staged, || self.disk.open_directory(parent(&staged)))
            .map_err(failed)?;
        let rename = || self.disk.rename(path, &staging, last_component(&staged));
        let removed = self.unsettled.begin();
        self.directories.change(path, rename).map_err(failed)?;
        self.sync_removal(removed, above).map_err(failed)?;
        // It is gone from the store. What cannot be deleted now goes at the next start.
        if let Err(error) = self.remove_recursively(&staged) {
            tracing::warn!(path, %error, "could not delete a removed directory; the next start will");
        }
        Ok(())
    }

    /// Removes a tree if its condition holds, and returns whether there was something. Blocks.
    pub(super) fn remove_unchanged(&self, tree: &TreeRemoval) -> Result<bool> {
        if let Some((key, version)) = &tree.unless_changed {
            match self.stat(key) {
                Ok(stat) if stat.version.as_ref() == Some(version) => {}
                Err(error) if !error.is_not_found() => return Err(error),
                Ok(_) | Err(_) => return Ok(false),
            }
        }
        match self.remove_tree(&tree.dir) {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a file that may be gone already, without any claim to durability.
    pub(super) fn remove_if_there(&self, path: &str) -> io::Result<()> {
        match self.disk.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes a file or a directory with all that it holds, without any claim to durability. It is
    /// no error when it is not there. A symbolic link goes itself, and what it leads to stays.
    pub(super) fn remove_recursively(&self, path: &str) -> io::Result<()> {
        match self.disk.open_directory(parent(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(above) => self.remove_recursively_at(&above, last_component(path)),
        }
    }

    /// The same in an open directory.
    pub(super) fn remove_recursively_at(&self, above: &D::Directory, name: &str) -> io::Result<()> {
        let directory = match self.disk.open_real_directory_at(above, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return match self.disk.remove_file_at(above, name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    other => other,
                };
            }
            other => other?,
        };
        loop {
            let progress = self.empty_batch(&directory)?;
            match self.disk.remove_directory_at(above, name) {
                // A request that still held the directory added a name, or there are more names than one batch.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && progress => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => return other,
            }
        }
    }

    /// Deletes some of the names in a directory; returns whether there was one.
    fn empty_batch(&self, directory: &D::Directory) -> io::Result<bool> {
        let mut names = Vec::new();
        self.disk.read_open_directory(directory, &mut |name, kind| {
            names.push((String::from_utf8_lossy(name).into_owned(), kind));
            if names.len() < BATCH {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        let mut progress = false;
        for (name, kind) in names {
            let removed = match kind {
                Kind::Directory => self.remove_recursively_at(directory, &name),
                _ => self.disk.remove_file_at(directory, &name),
            };
            match removed {
                // A file system that does not tell the kind when it lists.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    self.remove_recursively_at(directory, &name)?;
                }
                // Another request removed it, or the name is not text.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            }
            progress = true;
        }
        Ok(progress)
    }

    /// Removes an upload with everything that it wrote. Blocks.
    pub(super) fn discard_upload(&self, upload: &UploadKey) -> Result<()> {
        if self.uploads.take_started(upload).is_some() {
            return Ok(());
        }
        let directory = directory_of(upload);
        self.remove_recursively(&directory)
            .map_err(|error| Error::io(format!("discard the upload `{directory}`"), error))
    }
}

/// The directories on the way to what was removed last, each open, from the highest that must stay.
pub(super) struct Walk<'a, D: Disk> {
    opened: Vec<Step<'a, D>>,
}

impl<D: Disk> Default for Walk<'_, D> {
    fn default() -> Self {
        Self { opened: Vec::new() }
    }
}

impl<D: Disk> Drop for Walk<'_, D> {
    /// After an error: what went so far is not synced yet.
    fn drop(&mut self) {
        for step in self.opened.drain(..).rev() {
            if let Some(change) = step.changed {
                change.fail([step.directory]);
            }
        }
    }
}

struct Step<'a, D: Disk> {
    path: &'a str,
    directory: D::Directory,
    /// The first of the names that went from it; it is to be synced before the walk leaves it.
    changed: Option<Change<D>>,
}

impl<'a, D: Disk> Walk<'a, D> {
    fn remove(&mut self, engine: &Engine<D>, removal: &'a Removal) -> io::Result<()> {
        if !self.open_above(engine, removal)? {
            return Ok(());
        }
        let path = removal.key.as_str();
        let last = self.opened.len() - 1;
        let change = engine.unsettled.begin();
        let removed = {
            let _lock = engine.keys.lock(path);
            engine
                .disk
                .remove_file_at(&self.opened[last].directory, last_component(path))
        };
        match removed {
            Ok(()) => self.mark_changed(change),
            // An earlier run that was killed may have left the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.remove_empty(engine);
        Ok(())
    }

    /// Goes to the directory of an object; false when there is no such directory.
    pub(super) fn open_above(&mut self, engine: &Engine<D>, removal: &'a Removal) -> io::Result<bool> {
        let lowest = parent(removal.key.as_str());
        let keep = removal.keep.as_str();
        let highest = if is_at_or_below(lowest, keep) {
            keep
        } else {
            lowest
        };
        if self.opened.first().is_some_and(|step| step.path != highest) {
            self.leave_all(engine)?;
        }
        self.leave(engine, |step| is_at_or_below(lowest, step.path))?;
        self.open(engine, highest, lowest)
    }

    /// The directory that the walk has gone to.
    pub(super) fn lowest(&self) -> Option<&D::Directory> {
        self.opened.last().map(|step| &step.directory)
    }

    /// A name in the lowest directory went.
    pub(super) fn mark_changed(&mut self, change: Change<D>) {
        if let Some(step) = self.opened.last_mut() {
            step.changed.get_or_insert(change);
        }
    }

    /// Syncs and closes all directories, where a name went.
    pub(super) fn leave_all(&mut self, engine: &Engine<D>) -> io::Result<()> {
        self.leave(engine, |_| false)
    }

    /// Syncs and closes the lowest directories, as long as they are not to be `kept` open.
    fn leave(&mut self, engine: &Engine<D>, kept: impl Fn(&Step<'a, D>) -> bool) -> io::Result<()> {
        while let Some(step) = self.opened.pop_if(|step| !kept(step)) {
            if let Some(change) = step.changed {
                engine.sync_removal(change, step.directory)?;
            }
        }
        Ok(())
    }

    /// Opens what is not open of the way from `highest` to `lowest`; false when it ends before.
    fn open(&mut self, engine: &Engine<D>, highest: &'a str, lowest: &'a str) -> io::Result<bool> {
        while self
            .opened
            .last()
            .is_none_or(|step| step.path.len() < lowest.len())
        {
            let (path, next) = match self.opened.last() {
                None => (highest, engine.disk.open_directory(highest)),
                Some(above) => {
                    let start = above.path.len() + 1;
                    let length = lowest[start..].find('/').unwrap_or(lowest.len() - start);
                    let path = &lowest[..start + length];
                    let next = engine
                        .disk
                        .open_directory_at(&above.directory, last_component(path));
                    (path, next)
                }
            };
            match next {
                Ok(directory) => self.opened.push(Step {
                    path,
                    directory,
                    changed: None,
                }),
                Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Removes the lowest directories while they are empty, up to the one that stays.
    pub(super) fn remove_empty(&mut self, engine: &Engine<D>) {
        while let [.., above, empty] = &mut self.opened[..] {
            let name = last_component(empty.path);
            let remove = || engine.disk.remove_directory_at(&above.directory, name);
            let change = engine.unsettled.begin();
            match engine.directories.change(empty.path, remove) {
                // When another request removed it, its durability is up to this request.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // Not empty, or not permitted: the object is removed all the same.
                    break;
                }
                _ => _ = above.changed.get_or_insert(change),
            }
            self.opened.pop();
        }
    }
}

pub(super) fn last_component(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
