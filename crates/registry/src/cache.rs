//! What all caches of the registry share.

/// How many entries a cache has room for before it grows: an idle registry is to be small.
pub(crate) const FEW: usize = 256;
