//! Bytes at keys, durably: the traits [`Objects`] and [`Uploads`], their contract, and the engines that keep it.
//!
//! This crate knows bytes, keys and durability; it does not know what a manifest is. Everything
//! above it works through [`Storage`], both traits in one, which two engines implement: [`fs`], written for speed on a
//! local disk, and [`object`], over the `object_store` crate (no rename, no append, no
//! directories). One suite, `contract`, runs against all of them.
//!
//! # Why not a file system interface?
//!
//! Because an object store has no rename, no append and no directories, and because "write this
//! file" says nothing about durability or order. The traits speak of what a registry needs
//! instead: [publish](Objects::publish) small files in an order that survives a power cut,
//! [append](Upload::write) to an upload that one request at a time holds, and turn a finished
//! upload into a blob [atomically](Finished::publish).

// First, and with its macro, so that the engines below can run it.
#[cfg(any(test, feature = "testing"))]
#[macro_use]
pub mod contract;
pub mod elsewhere;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
pub mod fs;
mod hash_state;
pub mod journal;
mod key;
pub mod layout;
pub mod metered;
pub mod object;
mod objects;
mod obstacle;
mod operation;
pub mod replicas;
pub mod spool;
mod uploads;
mod version;

pub use error::{Error, ErrorKind, Result};
pub use key::{Key, KeyError};
pub use objects::{
    Blob, ByteStream, Condition, Entry, Found, FoundPage, Listed, Object, Objects, Page, Put, Puts, Removal,
    RepositoryPage, ScanPage, Scanned, Space, Stat, TreeRemoval, Wanted,
};
pub use obstacle::Obstacle;
pub use operation::Operation;
pub use uploads::{Announced, Finished, Follow, ListedUpload, MOST_FOLLOWED, Upload, UploadStream, Uploads};
pub use version::{Fingerprint, Version};

/// A whole store: objects, and uploads that become objects.
pub trait Storage: Objects + Uploads {}

impl<S: Objects + Uploads> Storage for S {}
