//! Parts that no one here wrote: finding and running other people's programs, and their registries.
//!
//! A test that needs such a part is a trial of `suite` that names it. When the part is missing the
//! test is counted as ignored, and a line `left out: …` says what to install; it never passes unseen.

pub mod docker;
pub mod image;
pub mod nginx;
pub mod peer;
pub mod suite;
pub mod tool;
pub mod wire;
