//! Journals on the disk: files that only their owner may read, to which lines are appended and synced.
//!
//! What of an append is on the disk when it fails is cut off again, so that it can be repeated. A file to which nothing
//! can be appended any more, because a sync of it failed or another program has removed it, is followed by the next one.

use std::{fmt, io, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Engine, FsStorage, OURS, blocking, create_all, directories,
    sys::{Disk, write_all_at},
};
use crate::{
    Error, ErrorKind, Key, Result,
    journal::{Journal, Journals, Names, is_over},
};

impl<D: Disk> Journals for FsStorage<D> {
    fn journal(&self, directory: Key, segment_bytes: u64) -> Arc<dyn Journal> {
        Arc::new(FsJournal(Arc::new(Shared {
            engine: Arc::clone(&self.engine),
            directory,
            segment_bytes,
            writing: Mutex::new(Writing {
                names: Names::new(),
                segment: None,
            }),
        })))
    }
}

struct FsJournal<D: Disk>(Arc<Shared<D>>);

struct Shared<D: Disk> {
    engine: Arc<Engine<D>>,
    directory: Key,
    segment_bytes: u64,
    writing: Mutex<Writing<D>>,
}

struct Writing<D: Disk> {
    names: Names,
    segment: Option<Open<D>>,
}

/// The file that is appended to.
struct Open<D: Disk> {
    path: String,
    file: D::File,
    inode: u64,
    began: SystemTime,
    /// Offset behind the last line
    end: u64,
}

#[async_trait]
impl<D: Disk> Journal for FsJournal<D> {
    async fn append(&self, lines: Bytes) -> Result<bool> {
        let shared = Arc::clone(&self.0);
        if shared.engine.lock.is_none() {
            let context = "append to a journal in a store that was opened to read only";
            return Err(Error::new(ErrorKind::ReadOnly, context));
        }
        blocking(move || {
            let appended = shared.append(&lines);
            appended
                .map_err(|error| Error::io(format!("append to the journal `{}`", shared.directory), error))
        })
        .await
    }
}

impl<D: Disk> Shared<D> {
    fn append(&self, lines: &[u8]) -> io::Result<bool> {
        let disk = &self.engine.disk;
        let Writing { names, segment } = &mut *self.writing.lock();
        let now = SystemTime::now();
        let open = match segment.take().filter(|open| self.takes_more(open, now)) {
            Some(open) => open,
            None => self.begin(names, now)?,
        };
        let written =
            write_all_at(disk, &open.file, lines, open.end).and_then(|()| disk.sync_file(&open.file));
        match written {
            Ok(()) => {
                let is_first = open.end == 0;
                *segment = Some(Open {
                    end: open.end + lines.len() as u64,
                    ..open
                });
                Ok(is_first)
            }
            Err(error) => {
                self.give_up(&open);
                Err(error)
            }
        }
    }

    /// Whether the next lines go into this file, too.
    fn takes_more(&self, open: &Open<D>, now: SystemTime) -> bool {
        let is_there = |metadata: super::sys::Metadata| metadata.inode == open.inode;
        open.end < self.segment_bytes
            && !is_over(open.began, now)
            && self.engine.disk.stat(&open.path).is_ok_and(is_there)
    }

    /// Creates the next file, and makes its name durable.
    fn begin(&self, names: &mut Names, now: SystemTime) -> io::Result<Open<D>> {
        let disk = &self.engine.disk;
        let directory = self.directory.as_str();
        create_all(disk, directory)?;
        let path = format!("{directory}/{}", names.next(now));
        let file = disk.create_private(&path)?;
        let mut above = directory;
        while !above.is_empty() {
            disk.sync_directory(&disk.open_directory(above)?)?;
            above = match above {
                OURS => "",
                _ => directories::parent(above),
            };
        }
        disk.sync_directory(&disk.open_directory("")?)?;
        Ok(Open {
            inode: disk.stat_file(&file)?.inode,
            path,
            file,
            began: now,
            end: 0,
        })
    }

    /// Cuts off what an append that failed has left behind its last line. Where that fails too, readers pass over a line
    /// that is torn, and lines that are whole are written twice.
    fn give_up(&self, open: &Open<D>) {
        let disk = &self.engine.disk;
        let undone = match open.end {
            0 => self.engine.remove_if_there(&open.path),
            end => disk
                .set_length(&open.file, end)
                .and_then(|()| disk.sync_file(&open.file)),
        };
        if let Err(error) = undone {
            tracing::debug!(path = open.path, %error, "cannot cut off an append that failed");
        }
    }
}

impl<D: Disk> fmt::Debug for FsJournal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsJournal")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
