//! The files that images are read from: a directory or a tar.

use std::path::Path;

use super::{
    archive::Archive,
    error::LayoutError,
    file::{Directory, Part},
};

/// Where the files are.
#[derive(Debug)]
pub(super) enum Files {
    Directory(Directory),
    Archive(Box<Archive>),
}

impl Files {
    /// Opens the directory or tar at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, LayoutError> {
        if path.is_dir() {
            return Ok(Self::Directory(Directory::open(path)?));
        }
        let whole = Part::whole(path)?;
        let whole = whole.ok_or_else(|| {
            let missing =
                std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such file or directory");
            LayoutError::io(path, &missing)
        })?;
        Ok(Self::Archive(Box::new(Archive::open(whole)?)))
    }

    /// The file of this name; `None`: there is none.
    pub(super) fn find(&self, name: &str) -> Result<Option<Part>, LayoutError> {
        match self {
            Self::Directory(directory) => directory.find(name),
            Self::Archive(archive) => Ok(archive.find(name)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory(directory) => &directory.path,
            Self::Archive(archive) => archive.path(),
        }
    }
}
