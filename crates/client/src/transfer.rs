//! Moving images: from a registry or from files, into a registry or into files, with the same digests on both sides.
//!
//! A transfer that stops half-way leaves nothing that can be seen, and another one goes on where it was.

mod archive;
mod attach;
mod compare;
mod docker;
mod engine;
mod error;
mod file;
mod files;
mod graph;
mod layout;
mod model;
mod platforms;
mod references;
mod source;
mod target;
mod writer;

pub use self::{
    attach::{Artifact, Attached, AttachedFile, attach},
    compare::{Comparison, compare},
    engine::image,
    error::LayoutError,
    layout::{ImageInFile, Layout},
    model::{Event, Moved, Outcome, Progress, Settings, TransferError},
    platforms::{PlatformError, WantedPlatform},
    source::Source,
    target::Target,
    writer::{Form, Writer},
};
