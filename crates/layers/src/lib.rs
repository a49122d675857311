//! The files of an image: what a layer holds, and what its layers show one over the other.
//!
//! A layer is a tar, mostly compressed, that comes from a client of the registry: nothing in it is trusted. [`read`] goes through one
//! entry by entry, with bounded memory, whatever names, sizes and links it has. [`Tree`] lays layers over each other as the image
//! specification says (layer.md, "Applying Changesets"): later entries hide earlier ones, and whiteouts take them away.
//!
//! Of layers that have a [table of contents](contents), a part is enough.
//!
//! Nothing is ever written to a file system here.

mod changes;
pub mod contents;
mod entry;
mod error;
mod path;
mod tree;

pub use changes::{Change, Changes};
pub use entry::{Content, Entry, Flow, Kind, read};
pub use error::{Error, Result};
pub use path::clean;
pub use tree::{MOST_FILES, Mark, Node, Tree};
