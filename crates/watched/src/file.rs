//! Reading a file with proof of what was read: the signature by which every later change of it shows.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{FileType, Mode, OFlags, open, stat},
    io::retry_on_intr,
};

/// Within this time of a change, a file system may give a second change the same stamps: FAT counts in steps of
/// two seconds, everything else is finer.
const STAMP_STEP: Duration = Duration::from_secs(2);

/// A file that was changed less than this ago and does not end with a newline may be half written.
const WRITING: Duration = Duration::from_millis(50);

/// How long to wait for the rest of a half-written file.
const WRITING_WAIT: Duration = Duration::from_millis(20);

/// The metadata by which a change of a file is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    device: u64,
    inode: u64,
    /// Kind and permissions. These and the owner are in it for files that cannot be read: stamps may be as coarse as a clock
    /// tick, and mending shows all the same.
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
    /// Time of the last change of content or metadata; no program can set this one.
    changed: (i64, i64),
}

/// The content of a file.
#[derive(Debug)]
pub struct Contents {
    /// All bytes of the file
    pub bytes: Vec<u8>,
    pub(crate) opened: Opened,
    pub(crate) signature: Signature,
    /// Whether every later change has another signature.
    pub(crate) is_settled: bool,
    /// Time since the last change; zero when the time stamp lies in the future.
    pub(crate) age: Duration,
}

/// A file that was read. It may have another path by now, or none.
#[derive(Debug)]
pub(crate) struct Opened(File);

impl Opened {
    /// The signature of the file now. One system call, a fifth of the work of [`signature`].
    pub(crate) fn signature(&self) -> io::Result<Signature> {
        Ok(signature_of(&rustix::fs::fstat(&self.0)?))
    }
}

/// The signature of what is at `path` now; symbolic links are followed. One system call.
pub(crate) fn signature(path: &Path) -> io::Result<Signature> {
    Ok(signature_of(&stat(path)?))
}

/// Reads a regular file of at most `limit` bytes; waits a moment when another process seems to be writing it in several pieces.
///
/// # Errors
///
/// As [`read`].
pub fn read_whole(path: &Path, limit: u64) -> io::Result<Contents> {
    let contents = read(path, limit)?;
    let is_complete = contents.bytes.ends_with(b"\n") || contents.bytes.ends_with(b"\n\0");
    if is_complete || contents.age > WRITING {
        return Ok(contents);
    }
    thread::sleep(WRITING_WAIT);
    read(path, limit)
}

/// Reads a regular file of at most `limit` bytes, as it is at one moment. When it changes meanwhile, it is read again, but no more
/// than three times: what the third time finds may be a mixture of two contents. Its signature is the one from before, so a
/// [`Watched`](crate::Watched) reads it once more at its next use. Symbolic links are followed.
///
/// # Errors
///
/// Errors of the file system, and [`io::ErrorKind::Other`] for what is no regular file, or has more bytes; their text is a clause
/// that says what `it` is.
pub fn read(path: &Path, limit: u64) -> io::Result<Contents> {
    const ATTEMPTS: usize = 3;

    let mut attempt = 1;
    loop {
        // Without blocking: an open of a named pipe would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(retry_on_intr(|| open(path, flags, Mode::empty()))?);
        let before = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(before.st_mode).is_file() {
            let kind = match FileType::from_raw_mode(before.st_mode) {
                FileType::Directory => "it is not a regular file, but a directory",
                _ => "it is not a regular file",
            };
            return Err(io::Error::other(kind));
        }
        let signature = signature_of(&before);
        let too_large = || io::Error::other(format!("it has more than {limit} bytes"));
        if signature.size > limit {
            return Err(too_large());
        }
        let now = SystemTime::now();
        let mut bytes = Vec::new();
        (&file).take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        // Another process wrote meanwhile: `bytes` may be a mixture of two contents.
        if signature_of(&rustix::fs::fstat(&file)?) != signature && attempt < ATTEMPTS {
            attempt += 1;
            continue;
        }
        let age = signature.age(now);
        return Ok(Contents {
            bytes,
            opened: Opened(file),
            signature,
            is_settled: age > STAMP_STEP,
            age,
        });
    }
}

impl Signature {
    fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanoseconds) = self.changed.max(self.modified);
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let changed =
            SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
        now.duration_since(changed).unwrap_or_default()
    }
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the types of these fields differ between platforms"
)]
fn signature_of(stat: &rustix::fs::Stat) -> Signature {
    Signature {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        mode: stat.st_mode as u32,
        owner: (stat.st_uid, stat.st_gid),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "makes the files")]

    use std::fs;

    use super::*;

    #[test]
    fn only_files_of_the_right_size_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let refused = |path: &Path| read(path, 3).unwrap_err();
        assert_eq!(refused(&path).kind(), io::ErrorKind::NotFound);
        fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, 3).unwrap().bytes, b"abc");
        assert_eq!(read_whole(&path, 3).unwrap().bytes, b"abc");
        fs::write(&path, "abcd").unwrap();
        assert_eq!(refused(&path).to_string(), "it has more than 3 bytes");
        let text = refused(directory.path()).to_string();
        assert_eq!(text, "it is not a regular file, but a directory");
        assert_eq!(
            refused(Path::new("/dev/null")).to_string(),
            "it is not a regular file"
        );
    }
}
