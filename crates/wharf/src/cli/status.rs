//! The arguments of `wharf status`.

use clap::Args;
use wharf_client::Address;

use super::server::{Report, Server};

/// Arguments of `wharf status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The registry, such as registry.example.com; without it, that of this machine.
    #[arg(value_name = "HOST[:PORT]", conflicts_with = "server")]
    pub(crate) registry: Option<Address>,

    #[command(flatten)]
    pub(crate) form: Report,

    #[command(flatten)]
    pub(crate) server: Server,
}
