//! The arguments of `why`.

use std::path::PathBuf;

use clap::Args;
use wharf_oci::Digest;

/// Says what needs a manifest, a layer or another blob.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Why {
    /// The digest, such as `sha256:…`.
    pub(crate) digest: Digest,

    /// Configuration of the server; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
