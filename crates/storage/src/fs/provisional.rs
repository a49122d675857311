//! Requests that are all or nothing: what an upload had before one, kept so that it can be as it was.
//!
//! The bytes of such a request go to the upload's file like all others, and so cost nothing more than others. Before the
//! first of them is written, a file beside it, the mark, says how many bytes were there; it goes when the file has only those again, or is
//! a blob. So whenever the process is killed, the mark is there as long as there are bytes that do not count, and the
//! next holder, of whatever process, cuts them off. The mark is written aside and renamed, so it is whole or absent. After a cut of power either of the two files may be lost or short, as
//! everything of an upload may; a mark that cannot be read counts as 0.
//!
//! registry:2 knows no mark, removes it with the upload, and takes such bytes for bytes of the upload, as it does with its own.

use std::io;

use wharf_oci::Hasher;

use super::{Engine, sys::Disk};

/// Name of the mark in the directory of an upload.
const MARK: &str = "before";
/// Length of the longest mark: the digits of the largest size.
const LONGEST: usize = 20;

/// The upload before a request that is all or nothing.
pub(super) struct Before {
    pub(super) size: u64,
    /// State of the hash of those bytes, where it is known.
    pub(super) hasher: Option<Hasher>,
    /// Whether the mark was written, and so the file may have bytes that do not count.
    pub(super) is_marked: bool,
}

impl<D: Disk> Engine<D> {
    /// Says that only the first `size` bytes of the upload in `directory` count.
    pub(super) fn mark(&self, directory: &str, size: u64) -> io::Result<()> {
        let to = path(directory);
        let staged = self.staging_path(&to);
        let written = self.in_staging(&staged, || self.write_new(&staged, size.to_string()));
        let renamed = written.and_then(|()| self.rename(&staged, &to));
        if renamed.is_err()
            && let Err(error) = self.remove_if_there(&staged)
        {
            tracing::debug!(path = staged, %error, "left a file to the next start");
        }
        renamed
    }

    /// How many bytes of the upload in `directory` count; `None` when all of them do.
    pub(super) fn marked(&self, directory: &str) -> io::Result<Option<u64>> {
        let file = match self.disk.open(&path(directory)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut digits = [0; LONGEST];
        let count = self.disk.read_at(&file, &mut digits, 0)?;
        let digits = std::str::from_utf8(&digits[..count]).unwrap_or_default();
        Ok(Some(digits.parse().unwrap_or(0)))
    }

    /// Says that all bytes of the upload in `directory` count.
    pub(super) fn unmark(&self, directory: &str) -> io::Result<()> {
        self.remove_if_there(&path(directory))
    }
}

fn path(directory: &str) -> String {
    format!("{directory}/{MARK}")
}
