//! Pieces of files, read without blocking the connections. Only regular files are read, and inside of a directory no link is followed.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, openat},
    io::Errno,
};

use super::error::LayoutError;
use crate::{Error, Result, stream::Blob};

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// A part of a file: a blob.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// Bytes of the file before the part.
    pub(super) start: u64,
    /// Size in bytes.
    pub(super) size: u64,
}

/// A blob of a file, read piece by piece.
#[derive(Debug)]
pub(super) struct FileReader {
    part: Part,
    position: u64,
}

/// A directory with files in it.
#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
    pub(super) path: PathBuf,
}

impl Part {
    /// All of the file at `path`; `None`: there is none.
    pub(super) fn whole(path: &Path) -> std::result::Result<Option<Self>, LayoutError> {
        // Opening a pipe would wait for its writer.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        match opened {
            Ok(file) => Self::of(file, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LayoutError::io(path, &error)),
        }
    }

    /// All of an open file, which must be a regular one.
    fn of(file: File, path: &Path) -> std::result::Result<Self, LayoutError> {
        let found = file.metadata().map_err(|error| LayoutError::io(path, &error))?;
        if !found.is_file() {
            let reason = "it is no regular file, which can be read twice; save it to one first".to_owned();
            return Err(LayoutError::no_image(path, reason));
        }
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            start: 0,
            size: found.len(),
        })
    }

    /// All bytes, which must not be more than `limit`.
    pub(super) fn read(&self, limit: usize) -> std::result::Result<Bytes, LayoutError> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if size > limit {
            let reason = format!("it has a document of {size} bytes, more than any image has");
            return Err(LayoutError::no_image(&self.path, reason));
        }
        let mut bytes = BytesMut::zeroed(size);
        let read = self.file.read_exact_at(&mut bytes, self.start);
        read.map_err(|error| LayoutError::io(&self.path, &error))?;
        Ok(bytes.freeze())
    }

    /// Its bytes one after another, for reading that may block.
    pub(super) fn sequential(&self) -> Sequential<'_> {
        Sequential {
            part: self,
            position: 0,
        }
    }

    pub(super) fn reader(self) -> FileReader {
        FileReader {
            part: self,
            position: 0,
        }
    }
}

impl Directory {
    /// The directory at `path`, which may be a link: the user has named it.
    pub(super) fn open(path: &Path) -> std::result::Result<Self, LayoutError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty());
        Ok(Self {
            descriptor: descriptor.map_err(|error| LayoutError::io(path, &error.into()))?,
            path: path.to_owned(),
        })
    }

    /// The file `name` inside of the directory; `None`: there is none.
    pub(super) fn find(&self, name: &str) -> std::result::Result<Option<Part>, LayoutError> {
        let path = self.path.join(name);
        let mut parts = Vec::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => parts.push(part),
                // It would lead out of the directory.
                _ => return Ok(None),
            }
        }
        let Some(file) = parts.pop() else {
            return Ok(None);
        };
        let mut directory = None;
        let common = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let refused = |error: Errno| match error {
            Errno::LOOP | Errno::NOTDIR => LayoutError::no_image(
                &path,
                "it is a link, or its directory is, and links in a directory are not followed".to_owned(),
            ),
            error => LayoutError::io(&path, &error.into()),
        };
        for part in parts {
            let above = directory.as_ref().unwrap_or(&self.descriptor);
            match openat(above, part, common | OFlags::DIRECTORY, Mode::empty()) {
                Ok(next) => directory = Some(next),
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(refused(error)),
            }
        }
        let above = directory.as_ref().unwrap_or(&self.descriptor);
        match openat(above, file, common | OFlags::NONBLOCK, Mode::empty()) {
            Ok(found) => Part::of(File::from(found), &path).map(Some),
            Err(Errno::NOENT) => Ok(None),
            // A socket cannot be opened.
            Err(Errno::NXIO) => Err(LayoutError::no_image(&path, "it is no regular file".to_owned())),
            Err(error) => Err(refused(error)),
        }
    }
}

/// The bytes of a part from its start, and what follows it in the file.
pub(super) struct Sequential<'a> {
    part: &'a Part,
    position: u64,
}

impl io::Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.part.file.read_at(buffer, self.part.start + self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Blob for FileReader {
    fn seek(&mut self, position: u64) {
        self.position = position;
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.part.size.saturating_sub(self.position);
        let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        if length == 0 {
            return Ok(None);
        }
        let (file, at) = (Arc::clone(&self.part.file), self.part.start + self.position);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = BytesMut::zeroed(length);
            file.read_exact_at(&mut piece, at).map(|()| piece.freeze())
        });
        let failed = |reason: String| Error::File {
            path: self.part.path.display().to_string(),
            reason,
        };
        let piece = read.await.map_err(|error| failed(error.to_string()))?;
        let piece = piece.map_err(|error| failed(error.to_string()))?;
        self.position += piece.len() as u64;
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "makes the files that are refused")]
    fn nothing_but_regular_files_inside_of_the_directory_is_read() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
        fs::create_dir_all(inside.join("blobs/real")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::write(inside.join("blobs/real/file"), "content").unwrap();
        symlink(outside.join("secret"), inside.join("link")).unwrap();
        symlink(&outside, inside.join("blobs/elsewhere")).unwrap();
        mknodat(
            CWD,
            inside.join("pipe"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let directory = Directory::open(&inside).unwrap();
        assert_eq!(
            &directory
                .find("blobs/real/file")
                .unwrap()
                .unwrap()
                .read(10)
                .unwrap()[..],
            b"content"
        );
        for name in [
            "nothing",
            "blobs/nothing/file",
            "../outside/secret",
            "/etc/passwd",
            "",
        ] {
            assert!(directory.find(name).unwrap().is_none(), "{name}");
        }
        for (name, reason) in [
            ("link", "links in a directory are not followed"),
            ("blobs/elsewhere/secret", "links in a directory are not followed"),
            ("pipe", "no regular file"),
            ("blobs/real", "no regular file"),
        ] {
            let error = directory.find(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
        let error = Part::whole(&inside.join("pipe")).unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
}
