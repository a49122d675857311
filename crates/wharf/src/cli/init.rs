//! The arguments of `init` and `doctor`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `wharf init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Directory of the registry; it is made if it does not exist.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Name or address under which clients reach the registry, without a port; may be given more than once. The default is the
    /// name of this machine. `localhost` and 127.0.0.1 are always among the names of the certificate.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,

    /// Port of the registry.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// Name of the first user, who administers the registry.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(crate) user: String,

    /// Read the password from standard input, up to the end of the line, instead of making a random one.
    #[arg(long, conflicts_with = "password_out")]
    pub(crate) password_stdin: bool,

    /// Write the random password to this new file, readable by its owner only, instead of showing it on the terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_out: Option<PathBuf>,

    /// Speak HTTP without TLS, to this machine only: for a proxy on it that speaks TLS with the clients.
    #[arg(long)]
    pub(crate) no_tls: bool,
}

/// Arguments of `wharf doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The registry's config.yml; otherwise found as for `serve`.
    pub(crate) config: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
