//! `wharf referrers`: what refers to an image, and the tags by which older registries and clients find it.

mod fallback_tags;
mod kind;
mod listed;

pub(crate) use self::{fallback_tags::write_tags, listed::list};
