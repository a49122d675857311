//! Files that are read again as soon as they change, with the last good state in force while they are damaged.
//!
//! [`Watched`] is what a server holds: some files, and what a [`Reader`] made of them. [`read`] is how one is read once, with proof
//! of what was read. What the files mean is for the readers to say; nothing here writes.

mod file;
mod watched;

pub use file::{Contents, read, read_whole};
pub use watched::{Damage, Read, Reader, Status, Watched};
