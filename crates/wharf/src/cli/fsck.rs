//! The arguments of `fsck`.

use std::{num::NonZeroU64, path::PathBuf};

use clap::Args;
use wharf_oci::RepoName;

use crate::config;

/// What is checked, and how.
#[derive(Debug, Args)]
pub(crate) struct Fsck {
    /// The registry's config.yml; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Do not read the blobs: find what is missing, cut or dangling, and no changed bytes.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Check this repository alone, with the blobs that it has.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<RepoName>,

    /// Read at most so many bytes of blobs in a second, such as `50MiB`; as many as there are without it.
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    pub(crate) rate: Option<NonZeroU64>,

    /// Move damaged bytes to `wharf/quarantine` in the store, so that their digests count as absent and the next push heals them.
    ///
    /// The server must be stopped meanwhile. Nothing is removed.
    #[arg(long)]
    pub(crate) repair: bool,

    /// Print a line of JSON for each finding, and one for the summary.
    #[arg(long)]
    pub(crate) json: bool,

    /// Print only what is broken, and what cannot be read.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// A number of bytes with a unit.
fn rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = config::bytes(text).and_then(NonZeroU64::new);
    bytes.ok_or_else(|| "write a size such as `50MiB`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_unit() {
        assert_eq!(rate("50MiB").map(NonZeroU64::get), Ok(50 << 20));
        for wrong in ["", "0", "fast", "-1"] {
            assert!(rate(wrong).unwrap_err().contains("`50MiB`"), "{wrong}");
        }
    }
}
