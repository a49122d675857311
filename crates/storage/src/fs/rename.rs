//! Moving an object from key to key.

use std::io;

use super::{
    Engine,
    commit::writing,
    directories::{Chain, Opened, parent},
    remove::{Walk, last_component},
    sys::{Disk, Kind},
};
use crate::{Error, Key, Removal, Result};

/// Attempts before a move gives up. A failed attempt means that another request made or removed the directory.
const ATTEMPTS: u32 = 100;

impl<D: Disk> Engine<D> {
    /// Moves the object at `from` to `to`. The new name is durable before the old one goes durably: whatever a
    /// cut of power leaves, one of the two is there. Blocks.
    pub(super) fn rename_object(&self, from: &Removal, to: &Key) -> Result<()> {
        self.try_rename_object(from, to)
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
        let chain = self.rename_between(&walk, from.key.as_str(), to.as_str())?;
        self.directories.sync_chain(&self.disk, &chain)?;
        walk.mark_changed();
        walk.remove_empty(self);
        walk.leave_all(self)
    }

    /// Renames, without any sync; returns the directory that the object is in now.
    fn rename_between(&self, walk: &Walk<'_, D>, from: &str, to: &str) -> io::Result<Chain<D>> {
        let Some(old) = walk.lowest() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        for _ in 0..ATTEMPTS {
            let chain = match self.directories.open(&self.disk, parent(to))? {
                Opened::Found(chain) => chain,
                Opened::Missing(top) => {
                    self.make_directories(top, parent(to))?;
                    continue;
                }
            };
            let renamed = {
                let _locks = self.keys.lock_both(from, to);
                self.require_object(old, last_component(from)).and_then(|()| {
                    let (from, to) = (last_component(from), last_component(to));
                    self.disk.rename_at((old, from), (chain.directory(), to))
                })
            };
            match renamed {
                Ok(()) => return Ok(chain),
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

    fn require_object(&self, directory: &D::Directory, name: &str) -> io::Result<()> {
        match self.disk.stat_at(directory, name)?.kind {
            Kind::File => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
