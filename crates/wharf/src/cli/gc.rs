//! The arguments of `gc`.

use std::path::PathBuf;

use clap::Args;

/// Collects garbage beside the server that runs.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Gc {
    /// Configuration of the server; otherwise found as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
