//! The arguments of `gc`.

use clap::Args;

use super::server::{Report, Server};

/// Collects garbage beside the server that runs.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) form: Report,

    #[command(flatten)]
    pub(crate) server: Server,
}
