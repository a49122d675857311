//! The arguments of every command that asks a registry at an address: the connection, and the credentials for it.

use std::path::PathBuf;

use clap::Args;

/// Connection to a registry, and the credentials for it.
///
/// Without a user, stored credentials are used: $DOCKER_AUTH_CONFIG, $REGISTRY_AUTH_FILE, docker's config.json, podman's
/// auth.json, and the credential helpers that these name.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Remote {
    #[command(flatten)]
    pub(crate) reach: Reach,

    /// The directory of docker's config.json; otherwise $DOCKER_CONFIG, or ~/.docker.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) config: Option<PathBuf>,
}

/// How a registry is reached, and the user that logs in there.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reach {
    /// User name. The password is asked for, or read with --password-stdin.
    ///
    /// NAME:PASSWORD is accepted as well; every user of the machine can read that in the list of processes.
    #[arg(short, long, alias = "username", value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Read the password from standard input, without the line end at its end.
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Trust the certificate authorities in this PEM file as well as the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Vec<PathBuf>,

    /// Trust any certificate of this host, and fall back to plain HTTP without TLS. Always on for this machine itself.
    ///
    /// Other hosts, such as that of the registry's token server, are not exempt: --cacert is for them.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,

    /// Speak plain HTTP with this registry; the same as http:// before its name. Passwords travel in clear text then.
    #[arg(long)]
    pub(crate) plain_http: bool,
}
