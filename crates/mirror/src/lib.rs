//! Mirrors: repositories whose content comes from another registry, the upstream, and is downloaded when it is first asked for.
//!
//! The tree of the registry is the cache. What is downloaded stands there as if it had been pushed: registry:2 can read it, it can be
//! listed, checked, deleted and collected like everything else, and nothing beside it decides what a mirror has. A mirrored
//! repository is *sparse*: its manifests may name blobs that were not downloaded.
//!
//! # Invariants
//!
//! - What has a digest is served only with bytes of that digest: the last piece of a download is passed on when all of it is right.
//! - A client gets of a mirrored repository only what its upstream has, or had, in that repository: bytes that are stored for another
//!   repository are used after the upstream has said that it has them.
//! - A tag is answered by the upstream's word of at most [`MirrorOptions::fresh`] ago, or with the note that the answer is stale.
//! - One download of a digest is under way in a process, for all requests.

mod blobs;
mod circuit;
mod download;
mod error;
mod following;
mod known;
mod lists;
mod manifests;
mod mirror;
mod mirrors;
mod numbers;
mod options;

pub use blobs::FoundBlob;
pub use error::{Error, Failure, Result, Trouble};
pub use following::Following;
pub use manifests::FoundManifest;
pub use mirror::Mirrored;
pub use mirrors::{Mirrors, Renamed, UnknownNamespace};
pub use numbers::{Counted, Kind, MirrorNumbers};
pub use options::{MirrorOptions, Place};
