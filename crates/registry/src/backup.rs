//! Backups of a registry: taken beside the server that serves it, checked, and restored whole or by repository.
//!
//! # What a backup is
//!
//! An [image layout of OCI](https://github.com/opencontainers/image-spec/blob/main/image-layout.md), so that other programs
//! can copy images out of it, and beside it what such a layout cannot say:
//!
//! ```text
//! oci-layout                             {"imageLayoutVersion":"1.0.0"}
//! index.json                             every tagged manifest of the newest snapshot, named `<repository>:<tag>`
//! blobs/<alg>/<hex>                      bytes: layers, configurations, manifests
//! wharf/snapshots/<time>-<hex>.json      a snapshot: repositories and files of the server, each by the digest of its document
//! wharf/repositories/<hex>.json          a repository: its tags, their histories, its manifests and layers, all with their times
//! wharf/settings/<hex>                   a file of the server, such as its configuration
//! ```
//!
//! A [snapshot](document::Snapshot) has the SHA-256 of its bytes in its name, the snapshot names documents by their SHA-256, and
//! these name blobs by their digest: so the name of a snapshot is enough to check every byte of the backup.
//!
//! It lies in a directory or a bucket, which hold many snapshots that share documents and blobs, or is one file, a tar
//! that may be compressed with zstd, which holds one snapshot. A file may leave out the blobs that another backup has, its *base*.
//!
//! # Consistent while clients push and delete
//!
//! Bytes never change under their digest, so only pointers need care. Those of one repository are read in the order opposite to
//! that in which a server writes them: tags, then manifests, then layers. What a tag needs was there when the tag was read, and
//! so is among what is listed after it. Then the bytes are copied. A blob that has gone meanwhile was collected, and its pointers
//! had gone before it (I3): the repository is read again. A pointer that is read *after* its bytes were not found, while they
//! are not found then either, is damage of the source. Each image that needs what is damaged is named and left out; the rest is in the
//! backup. So every image in a backup is whole.
//!
//! # What a crash leaves
//!
//! Documents are written after the blobs that they name, and the snapshot after its documents. In a directory or a bucket a
//! run that ended half-way leaves blobs that the next run does not send again. A file gets its name only when it is whole; and
//! its last entry is the snapshot, so one that was cut short has none, and is refused.
//!
//! # Restoring
//!
//! The reverse, in the order of a push: blobs, hashed on their way; links of layers; manifests, children before the indexes that
//! name them; tags, each after its history. What is there already and right is passed over, so a restore may be repeated
//! after it ended in any way. A tag that points elsewhere by now is newer than the backup: it is left alone unless that is asked for.
//!
//! # Limits
//!
//! In memory are a digest for each blob, about 300 bytes for each tag (its entry in `index.json`), and the documents of four
//! repositories, about 1 KiB for each manifest. Of a plain tar of a data directory, all links are.

mod archive;
mod destination;
pub mod document;
mod error;
mod layout;
mod listing;
mod plain;
mod pruned;
mod report;
mod restore;
mod selection;
mod sink;
mod source;
mod stripes;
mod take;
mod verify;

pub use archive::{Compression, FileTarget, OpenFile};
pub use error::{Error, Result};
pub use report::{Counts, Progress, RestoreReport, TakeReport, VerifyReport};
pub use restore::{RestoreOptions, Restorer};
pub use selection::Selection;
pub use sink::Base;
pub use source::{Found, Source};
pub use take::{SettingsFile, TakeOptions, Taker, Target};
pub use verify::verify;
