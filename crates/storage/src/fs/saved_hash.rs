//! The state of an upload's hash, kept beside its bytes, so that a new process need not read them all again.
//!
//! A record says: the first so many bytes of this file have this state. It is written after those bytes were, and were synced:
//! what the kernel could not write to the disk it forgets, and reads as what is there instead. An upload whose sync
//! fails is removed, because the kernel tells of that once only.
//!
//! # Why it can be trusted
//!
//! The bytes of an upload change in one way only while this file system engine has the store: they are appended, by
//! the one holder. Bytes in front of a record's size are never written again, and never cut off: what is cut off after a failed
//! write, or after a request that was all or nothing, came after the last record, because a provisional request
//! makes none. Where the file itself goes, its record goes before it. So all that could make a record wrong is that bytes
//! which were written are not what is read.
//!
//! What a process wrote is in the page cache of the kernel, and what another process reads comes from there: that
//! the writer was killed changes nothing. Only when the kernel ends, by a reboot or a cut of power, is it lost, or found in part, or as
//! zeros. So a record counts only as long as the kernel runs that saw the bytes: it names the kernel's
//! boot id, which is drawn anew at each start. It counts only on a file system of this machine, because a file server starts by itself.
//! A disk that is torn off and mounted again within one boot loses what was not written back; there the local file systems
//! shorten the file, for they record its size after its bytes, and a record of more bytes than the file has does not count.
//! Device and inode number tell a file that was restored from a copy. And the record has the digest of what it covers, which a state that was
//! damaged, or that another version of this program wrote in another form, does not give.
//!
//! registry:2 keeps such states as `hashstates/<algorithm>/<size>`, without the means to tell whether they still hold: wharf
//! neither reads nor writes those, and they go with the upload. registry:2 knows no record, hashes what it has no state of, and
//! removes the record with the upload; all that it does to the bytes is to append.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use wharf_oci::{Algorithm, Hasher};

use super::{
    Engine,
    known_uploads::{Fingerprint, Remembered},
    sys::{Disk, Metadata},
};
use crate::{hash_state, layout::UploadKey};

/// Name of the record in the directory of an upload.
const RECORD: &str = "hashed";
/// Length in bytes of the longest record that is read.
const LONGEST: usize = 1024;
/// After how many bytes a record is made. Hashing as many takes some tenths of a second.
pub(super) const EVERY: u64 = 64 << 20;

impl<D: Disk> Engine<D> {
    /// Whether a record of this file may be trusted later.
    pub(super) fn keeps_hash_of(&self, file: &D::File) -> bool {
        self.disk
            .stat_file(file)
            .is_ok_and(|found| self.start_of(&found).is_some())
    }

    /// Records the state of the hash of the first `size` bytes of the upload in `directory`, which are synced, where it may be
    /// trusted later.
    pub(super) fn save_hash(
        &self,
        directory: &str,
        file: &D::File,
        size: u64,
        hasher: &Hasher,
    ) -> io::Result<()> {
        let Some(start) = self.start_of(&self.disk.stat_file(file)?) else {
            return Ok(());
        };
        self.forget_hash(directory)?;
        let record = format!("{start} {size} {}", hash_state::save(hasher));
        self.write_new(&path(directory), record)
    }

    /// The state of the hash of some first bytes of the upload in `directory`, and how many these are.
    pub(super) fn saved_hash(&self, directory: &str, file: &D::File) -> Option<(u64, Hasher)> {
        let found = self.disk.stat_file(file).ok()?;
        let start = self.start_of(&found)?;
        let record = self.disk.open(&path(directory)).ok()?;
        let mut text = [0; LONGEST];
        let count = self.disk.read_at(&record, &mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..count]).ok()?;
        let (size, hash) = text.strip_prefix(&start)?.trim_start().split_once(' ')?;
        let size = size.parse().ok().filter(|size| *size <= found.size)?;
        Some((size, hash_state::restore(hash)?))
    }

    /// Hashes an upload of `size` bytes that no request holds, if its hash is not known, as long as none does: a client that
    /// asks for its state after a restart is going to end it. The records tell the request that comes next how far that
    /// went. Blocks, for one upload at a time; others are left to their requests.
    ///
    /// The first `size` bytes do not change meanwhile, whatever a request does that takes hold now.
    pub(super) fn hash_ahead(&self, upload: &UploadKey, directory: &str, size: u64) -> io::Result<()> {
        if self.uploads.hashes.peek(upload).is_some() || self.hashes_ahead.swap(true, Relaxed) {
            return Ok(());
        }
        let hashed = self.try_hash_ahead(upload, directory, size);
        self.hashes_ahead.store(false, Relaxed);
        hashed
    }

    fn try_hash_ahead(&self, upload: &UploadKey, directory: &str, size: u64) -> io::Result<()> {
        let file = self.disk.open(&format!("{directory}/data"))?;
        let before = Fingerprint::from(self.disk.stat_file(&file)?);
        let saved = self.saved_hash(directory, &file);
        let saved = saved.filter(|(saved, _)| *saved <= size);
        let (mut offset, mut hasher) = saved.unwrap_or_else(|| (0, Hasher::new(Algorithm::Sha256)));
        let mut buffer = self.pool.take();
        while offset < size {
            let space = buffer.space();
            let length = usize::try_from(size - offset).map_or(space.len(), |left| left.min(space.len()));
            let count = self.disk.read_at(&file, &mut space[..length], offset)?;
            if count == 0 || self.uploads.is_held(upload) {
                return Ok(());
            }
            hasher.update(&space[..count]);
            let start = offset;
            offset += count as u64;
            if start / EVERY < offset / EVERY && self.keeps_hash_of(&file) {
                self.sync_ahead(upload, directory, &file)?;
                self.save_hash(directory, &file, offset, &hasher)?;
            }
        }
        let found = Fingerprint::from(self.disk.stat_file(&file)?);
        // The next holder takes what is remembered for what this process left, and so looks for no mark.
        let is_marked = self.marked(directory)?.is_some();
        if found == before && found.is_of_size(size) && !is_marked && !self.uploads.is_held(upload) {
            let known = Remembered { hasher, file: found };
            self.uploads.hashes.insert(upload.clone(), Arc::new(known));
        }
        Ok(())
    }

    /// Syncs an upload that no request holds. One that cannot be synced goes, unless a request has it by now, which learns of
    /// that at its own sync.
    fn sync_ahead(&self, upload: &UploadKey, directory: &str, file: &D::File) -> io::Result<()> {
        let synced = self.disk.sync_file(file);
        if synced.is_err()
            && let Some(_hold) = self.uploads.hold(upload)
        {
            self.forget_hash(directory)?;
            self.disk.remove_file(&format!("{directory}/data"))?;
        }
        synced
    }

    /// Removes the record of the upload in `directory`.
    pub(super) fn forget_hash(&self, directory: &str) -> io::Result<()> {
        self.remove_if_there(&path(directory))
    }

    /// The beginning of records of this file while this kernel runs; `None` when none can be trusted.
    fn start_of(&self, file: &Metadata) -> Option<String> {
        let boot = self.disk.boot_id().filter(|_| file.stamped_here)?;
        Some(format!("sha256 {boot} {} {} ", file.device, file.inode))
    }
}

fn path(directory: &str) -> String {
    format!("{directory}/{RECORD}")
}
