//! The one module here that changes files: create, replace, lock.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, flock, fsync,
        linkat, mkdir, open, rename, renameat_with, stat, unlink,
    },
    io::{Errno, retry_on_intr},
};
use wharf_watched::read;

use crate::password;

const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);
const PRIVATE_DIRECTORY: Mode = Mode::from_raw_mode(0o700);

/// Creates `path`, which must not exist ([`io::ErrorKind::AlreadyExists`]), with its directories, readable by its
/// owner alone. It appears whole and durable, or not at all.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_directories(path)?;
    let temporary = write_beside(path, bytes, None)?;
    let created = publish_new(&temporary, path);
    if created.is_err() {
        // A file that is left over has a unique name and does no harm.
        _ = unlink(&temporary);
    }
    created?;
    sync_directory(path)
}

/// Changes a file that only its owner may read; makes it, with its directories, if there is none. `change` gets the bytes that it
/// has, none for a new one, and may be called twice. Changes by several processes wait for each other, and none is lost.
///
/// # Errors
///
/// Errors of the file system, of a file of more than `limit` bytes, and those of `change`: the file is then as it was.
pub fn change<E: From<io::Error>>(
    path: &Path,
    limit: u64,
    change: impl Fn(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<(), E> {
    if !path.exists() {
        match create(path, &change(&[])?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return Ok(created?),
        }
    }
    let _lock = lock(path)?;
    let old = read(path, limit)?;
    Ok(replace(path, &change(&old.bytes)?)?)
}

/// Creates the directories above a file that are not there, for their owner alone.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    let missing = path
        .ancestors()
        .skip(1)
        .take_while(|directory| !directory.as_os_str().is_empty() && !directory.exists());
    let missing: Vec<&Path> = missing.collect();
    for directory in missing.into_iter().rev() {
        match mkdir(directory, PRIVATE_DIRECTORY) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Replaces what is at `path`, keeping its mode and owner. Readers see the old or the new content, never a
/// mixture, unless the file itself is a mount point, or its directory may not be written: then it is
/// written in place.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Through a symbolic link: the link stays, what it points to changes.
    let path = resolved(path)?;
    let old = stat(&path)?;
    let swapped = write_beside(&path, bytes, Some(&old)).and_then(|temporary| {
        let renamed = rename(&temporary, &path);
        if renamed.is_err() {
            _ = unlink(&temporary);
        }
        Ok(renamed?)
    });
    match swapped.as_ref().map_err(io::Error::raw_os_error) {
        Ok(()) => sync_directory(&path),
        Err(Some(code)) if is_unmovable(code) => write_in_place(&path, bytes),
        Err(_) => swapped,
    }
}

/// Whether a rename fails with this error where a write in place succeeds.
fn is_unmovable(code: i32) -> bool {
    [Errno::BUSY, Errno::XDEV, Errno::ACCESS, Errno::PERM, Errno::ROFS]
        .iter()
        .any(|errno| errno.raw_os_error() == code)
}

/// The right to change a file, until dropped. Other changes through this module wait.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: OwnedFd,
}

/// Waits for the right to change `path`.
pub(crate) fn lock(path: &Path) -> io::Result<Lock> {
    loop {
        let file = retry_on_intr(|| {
            open(
                path,
                OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
                Mode::empty(),
            )
        })?;
        retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
        // The previous holder of the lock may have put another file in its place.
        let (held, there) = (rustix::fs::fstat(&file)?, stat(path)?);
        if (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino) {
            return Ok(Lock { _file: file });
        }
    }
}

fn resolved(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

/// A new file beside `path`, whole and durable, with the mode and the owner of `like`.
fn write_beside(path: &Path, bytes: &[u8], like: Option<&rustix::fs::Stat>) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("it names no file"))?;
    let random = password::generate(12).map_err(io::Error::other)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{random}.tmp"));
    let temporary = path.with_file_name(temporary);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(open(&temporary, flags, PRIVATE_FILE)?);
    let written = like
        .map_or(Ok(()), |like| take_after(&file, like))
        .and_then(|()| {
            file.write_all(bytes)?;
            Ok(fsync(&file)?)
        });
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            _ = unlink(&temporary);
            Err(error)
        }
    }
}

fn take_after(file: &File, like: &rustix::fs::Stat) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.st_uid, like.st_gid) {
        fchown(
            file,
            Some(Uid::from_raw(like.st_uid)),
            Some(Gid::from_raw(like.st_gid)),
        )?;
    }
    // After the owner: a change of owner takes bits away.
    Ok(fchmod(file, Mode::from_raw_mode(like.st_mode & 0o7777))?)
}

/// Gives a finished file its name, unless the name is taken.
fn publish_new(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // Not every file system has such a rename; those without it can link.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            linkat(CWD, temporary, CWD, path, AtFlags::empty())?;
            Ok(unlink(temporary)?)
        }
        result => Ok(result?),
    }
}

/// Longer content first overwrites, then the rest is cut: at no time is the file empty.
fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The path is resolved: a symbolic link there now was put there by another process.
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(open(path, flags, Mode::empty())?);
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    Ok(fsync(&file)?)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let directory = open(
        parent,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    match fsync(&directory) {
        // Some network file systems cannot sync a directory.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_at_once_are_all_kept_also_of_a_file_that_is_being_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/file");
        let append = |letter: u8| {
            let path = path.clone();
            std::thread::spawn(move || {
                change(&path, 1 << 10, |old| io::Result::Ok([old, &[letter]].concat())).unwrap();
            })
        };
        let threads: Vec<_> = (b'a'..=b'p').map(append).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut found = read(&path, 1 << 10).unwrap().bytes;
        found.sort_unstable();
        assert_eq!(found, b"abcdefghijklmnop");
        let failed = change(&path, 1 << 10, |_| Err(io::Error::other("no")));
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(read(&path, 1 << 10).unwrap().bytes.len(), 16);
        let mode = stat(&path).unwrap().st_mode;
        assert_eq!(mode & 0o777, 0o600);
    }
}
