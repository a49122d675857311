//! What a transfer is told, what it tells, and why it fails.

use wharf_oci::{Descriptor, Digest, Tag};

use super::{
    error::LayoutError,
    platforms::{PlatformError, WantedPlatform},
};
use crate::Error;

/// What is moved, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Blobs and manifests that are under way at a time.
    pub jobs: usize,
    /// Move what refers to an image as well: signatures, attestations, bills of materials.
    pub referrers: bool,
    /// Platforms to move of an index, which is written anew without the others; empty: all, and the index stays as it is.
    pub platforms: Vec<WantedPlatform>,
}

/// An observer of a transfer.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// What happens in a transfer.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A blob is looked at.
    Begins(&'a Descriptor),
    /// Bytes of a blob were sent.
    Sent(&'a Descriptor, u64),
    /// A blob is there.
    Ends(&'a Descriptor, Outcome),
    /// A manifest is there.
    Manifest(&'a Descriptor, Outcome),
}

/// How content came to be on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there before.
    Present,
    /// The registry had it in another repository.
    Mounted,
    /// Its bytes were moved.
    Moved,
    /// It stays out: its licence keeps it elsewhere, or the other side has it.
    LeftOut,
}

/// An image that was moved.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Digest on the other side.
    pub digest: Digest,
    /// Digest at the source; another one if the index was written anew for some platforms.
    pub original: Digest,
    /// Number of manifests that refer to the image, directly or through others.
    pub referrers: usize,
    /// Tags made of digests, such as those of signatures, that point at something else on the other side, and stay.
    pub kept: Vec<Tag>,
    /// Layers that neither side has: their licence keeps them elsewhere, and the manifest says where.
    pub left_out: Vec<Digest>,
}

/// Why an image was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] Error),
    /// A file failed.
    #[error(transparent)]
    File(#[from] LayoutError),
    /// The platforms do not fit the image.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A manifest is none.
    #[error("the manifest {digest} cannot be read: {reason}")]
    Manifest {
        /// Digest of the manifest.
        digest: Digest,
        /// Reason why it cannot be read.
        reason: String,
    },
    /// The image is larger than any image.
    #[error("the image has more than {manifests} manifests, or more than {bytes} bytes of them")]
    TooLarge {
        /// Limit on the number of manifests.
        manifests: usize,
        /// Limit on their size.
        bytes: usize,
    },
}
