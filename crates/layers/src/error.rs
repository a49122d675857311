//! Why a layer cannot be read.

use std::io;

/// The result of reading a layer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a layer cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not come, or are no tar.
    #[error("cannot read the files of the layer")]
    Read(#[from] io::Error),
    /// The layer is compressed in a way that images do not have.
    #[error(
        "the layer is compressed with {0}; layers of images are a tar, or one that gzip or zstd has compressed"
    )]
    Compression(&'static str),
    /// A name is longer than any file system takes.
    #[error("the layer has a name, or attributes of a file, of {0} bytes; the limit is 1 MiB")]
    LongName(u64),
    /// What should be a table of contents is none.
    #[error("the table of contents of the layer (eStargz) cannot be used: {0}")]
    Contents(&'static str),
    /// There are more files than fit into the memory that a command may take.
    #[error("the image has more than {0} files")]
    TooManyFiles(usize),
}
