//! The arguments of `login` and `logout`.

use std::path::PathBuf;

use clap::Args;
use wharf_client::Address;

use super::Remote;

/// Tries a user and a password, and keeps them where docker, podman and others find them.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The registry, such as localhost:5000 or registry.example.com; `docker.io` is Docker Hub.
    pub(crate) registry: Address,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Forgets what a login has kept.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The registry, as it was named for the login.
    pub(crate) registry: Address,

    /// The directory of docker's config.json; otherwise $DOCKER_CONFIG, or ~/.docker.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) config: Option<PathBuf>,
}
