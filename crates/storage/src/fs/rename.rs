//! Moving an object from key to key.
//!
//! No file system without a journal orders two directories: what is renamed from one to the other may be under
//! neither name after a cut of power. So the object first gets its new name in addition, durably, and then loses the
//! old one. Only where files cannot have two names is it one rename.

use std::io;

use super::{
    Engine,
    commit::writing,
    directories::{Chain, Opened, parent},
    remove::{Walk, last_component},
    sys::{Disk, Kind, Metadata},
};
use crate::{Error, ErrorKind, Key, Removal, Result};

/// Attempts before a move gives up. A failed attempt means that another request made or removed the directory.
const ATTEMPTS: u32 = 100;

impl<D: Disk> Engine<D> {
    /// Moves the object at `from` to `to`. The new name is durable before the old one goes: whatever a
    /// cut of power leaves, one of the two is there. Blocks.
    pub(super) fn rename_object(&self, from: &Removal, to: &Key) -> Result<()> {
        self.confirm_lock()?;
        self.settle(self.unsettled.now())
            .and_then(|()| self.try_rename_object(from, to))
            .map_err(|error| match error.kind() {
                // An error of the new place; on the way to the old place it means that there is no object.
                io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => writing(to.as_str(), error),
                _ => Error::io(format!("move `{}` to `{to}`", from.key), error),
            })
    }

    fn try_rename_object(&self, from: &Removal, to: &Key) -> io::Result<()> {
        let mut walk = Walk::default();
        if !walk.open_above(self, from)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let path = from.key.as_str();
        if path == to.as_str() {
            return walk.lowest().map_or(Ok(()), |directory| {
                self.require_object(directory, last_component(path)).map(drop)
            });
        }
        let change = self.unsettled.begin();
        let (moved, chain) = self.give_new_name(&walk, path, to.as_str())?;
        self.sync_change(change, chain)?;
        self.take_old_name(&mut walk, path, &moved)?;
        walk.remove_empty(self);
        walk.leave_all(self)
    }

    /// Puts the object under its new name, without any sync. Returns what was moved, and the directory that it is in now.
    fn give_new_name(&self, walk: &Walk<'_, D>, from: &str, to: &str) -> io::Result<(Metadata, Chain<D>)> {
        let Some(old) = walk.lowest() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        for _ in 0..ATTEMPTS {
            let chain = match self.directories.open(&self.disk, parent(to))? {
                Opened::Found(chain) => chain,
                Opened::Missing(_) => match self.create_directories(parent(to)) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => continue,
                },
            };
            let renamed = {
                let _locks = self.keys.lock_both(from, to);
                self.require_object(old, last_component(from)).and_then(|found| {
                    self.rename_between(
                        &self.staging_path(to),
                        (old, last_component(from)),
                        (chain.directory(), last_component(to)),
                    )?;
                    Ok(found)
                })
            };
            match renamed {
                Ok(found) => return Ok((found, chain)),
                Err(error) => {
                    self.directories.release(&chain);
                    if error.kind() != io::ErrorKind::NotFound {
                        return Err(error);
                    }
                }
            }
            // Either the object or the directory that it is moved to is missing.
            self.require_object(old, last_component(from))?;
        }
        Err(io::Error::other(format!(
            "gave up after {ATTEMPTS} attempts: other requests create and remove directories above `{to}`"
        )))
    }

    /// Gives a file a second name, in place of a file there; where that cannot be, its only one.
    fn rename_between(
        &self,
        staged: &str,
        from: (&D::Directory, &str),
        to: (&D::Directory, &str),
    ) -> io::Result<()> {
        match self.in_staging(staged, || self.disk.link_at(from, staged)) {
            Ok(()) => {}
            Err(error) if is_refused(&error) => return self.disk.rename_at(from, to),
            Err(error) => return Err(error),
        }
        let renamed = self.disk.rename(staged, to.0, to.1);
        // A rename onto a name of the same file does nothing, and leaves the name in staging. Where that name stays, the
        // object has its new name all the same.
        if let Err(error) = self.remove_if_there(staged) {
            tracing::warn!(path = staged, %error, "could not tidy up after a move; the next start will");
        }
        renamed
    }

    /// Removes the old name, unless another request has put another object there meanwhile.
    fn take_old_name(&self, walk: &mut Walk<'_, D>, from: &str, moved: &Metadata) -> io::Result<()> {
        let Some(old) = walk.lowest() else { return Ok(()) };
        let name = last_component(from);
        let change = self.unsettled.begin();
        {
            let _lock = self.keys.lock(from);
            match self.disk.stat_at(old, name) {
                Ok(found) if (found.device, found.inode) == (moved.device, moved.inode) => {
                    self.disk.remove_file_at(old, name)?;
                }
                Err(error) if ErrorKind::of(&error) != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        walk.mark_changed(change);
        Ok(())
    }

    fn require_object(&self, directory: &D::Directory, name: &str) -> io::Result<Metadata> {
        let found = self.disk.stat_at(directory, name)?;
        match found.kind {
            Kind::File => Ok(found),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Whether a file cannot have two names: the file system has no links (FAT, some of FUSE), the file has as many as it can
/// have, or the kernel forbids links to files of other users.
fn is_refused(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks
    )
}
