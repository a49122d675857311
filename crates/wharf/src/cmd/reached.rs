//! The registry at an address: a wharf with its administration API, or another registry, which has the standard API alone.

use anyhow::Context as _;
use http::Method;
use tokio::runtime::{self, Runtime};
use wharf_client::{Address, AdministrationError, Client};
use wharf_server::admin::wire;

use super::remote::options;
use crate::{cli::Remote, control::RunningServer};

/// A registry that has answered.
pub(super) enum Reached {
    /// A wharf.
    Wharf(RunningServer),
    /// Another registry, or a wharf that does not answer this user, or not from elsewhere.
    Other(Box<OtherRegistry>),
}

/// A registry of which the standard API is known.
pub(super) struct OtherRegistry {
    pub(super) client: Client,
    pub(super) runtime: Runtime,
    /// Host and port.
    pub(super) host: String,
    /// Why its administration API is not used.
    why: AdministrationError,
}

/// Connects to the registry at `address`, and finds out whether it is a wharf.
///
/// # Errors
/// When no registry answers, or one that is busy or fails: it may be a wharf, which must not be taken for another registry.
pub(super) fn reach(address: &Address, remote: Remote) -> anyhow::Result<Reached> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (address, options) = options(address, remote)?;
    let (client, found) = runtime.block_on(async {
        let client = Client::connect(&address, options).await?;
        let found = client
            .administer::<wire::WhoAmI>(Method::GET, "/whoami", &[], None::<&()>)
            .await;
        anyhow::Ok((client, found))
    })?;
    match found {
        Ok(_) => {
            let server = RunningServer::over_network(client, address, runtime);
            Ok(Reached::Wharf(server))
        }
        Err(why) if why.leaves_standard_api() => Ok(Reached::Other(Box::new(OtherRegistry {
            client,
            runtime,
            host: address.host().to_owned(),
            why,
        }))),
        Err(error) => {
            let unknown = format!("cannot find out whether `{}` is a wharf", address.host());
            Err(error).context(unknown)
        }
    }
}

impl OtherRegistry {
    /// Why the administration API is not used of what may be a wharf; `None`: it is none.
    pub(super) fn obstacle(&self) -> Option<&AdministrationError> {
        Some(&self.why).filter(|why| !matches!(why, AdministrationError::NotWharf { .. }))
    }
}

impl Reached {
    /// The wharf, for what only a wharf can do.
    ///
    /// # Errors
    /// When it is another registry, or the wharf does not answer this user.
    pub(super) fn require_wharf(self) -> anyhow::Result<RunningServer> {
        match self {
            Self::Wharf(server) => Ok(server),
            Self::Other(other) => Err(other.why.into()),
        }
    }
}
