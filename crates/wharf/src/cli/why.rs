//! The arguments of `why`.

use clap::Args;
use wharf_oci::Digest;

use super::{listing::Form, server::Server};

/// Says what needs a manifest, a layer or another blob.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The digest, such as `sha256:…`.
    pub(crate) digest: Digest,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) server: Server,
}
