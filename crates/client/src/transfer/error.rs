//! Why images cannot be read from files, or written to them.

use std::{
    io,
    path::{Path, PathBuf},
};

use wharf_oci::Digest;

use crate::text::printable;

/// Why images cannot be read from files, or written to them.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file cannot be read or written.
    #[error("`{}`: {reason}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Reason in the words of the system.
        reason: String,
    },
    /// The file has no image.
    #[error("`{}` is no image: {}; wharf reads OCI image layouts, and what `docker save` and `podman save` write", path.display(), printable(reason))]
    NoImage {
        /// Path of the file.
        path: PathBuf,
        /// Reason why it is none.
        reason: String,
    },
    /// The file ends too early.
    #[error("`{}` is cut short; copy it again", .0.display())]
    Cut(PathBuf),
    /// A blob is not there.
    #[error(
        "the blob {0} is missing: the file is not whole, or it was exported without what the other side has, and this side has it not"
    )]
    Missing(Digest),
}

impl LayoutError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull => "; make room, and run the command again",
            _ => "",
        };
        Self::Io {
            path: path.to_owned(),
            reason: format!("{error}{remedy}"),
        }
    }

    pub(super) fn no_image(path: &Path, reason: String) -> Self {
        let path = path.to_owned();
        Self::NoImage { path, reason }
    }
}
