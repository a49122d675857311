//! What an operator chooses of a copy.

/// How a registry is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether the copy only counts what it would do.
    pub dry_run: bool,
    /// Whether all that the destination has, and gets, is read there and compared.
    pub verify: bool,
    /// How many blobs are on their way at once.
    pub at_once: usize,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            verify: false,
            at_once: 16,
        }
    }
}
