//! The images of the registry that a command is for: through the server that runs, or else in the store of the configuration.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::runtime::{self, Runtime};
use wharf_client::Address;
use wharf_registry::{Options, Registry};
use wharf_server::admin::{PullCounts, Retention};
use wharf_storage::Objects;

use super::{
    offline::{self, Work},
    reached::reach,
};
use crate::{
    cli::Server,
    config::{self, Settings},
    control::RunningServer,
};

/// How long a command waits for the server: a plan reads what every repository of the store needs.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The images that a command is for.
pub(super) enum Images {
    /// Those in a store, which the command reads and changes itself.
    Store(Local),
    /// Those of a server that runs.
    Server(RunningServer),
}

/// A store, and what its configuration says about it.
pub(super) struct Local {
    pub(super) registry: Box<Registry>,
    pub(super) retention: Retention,
    pub(super) runtime: Runtime,
}

impl Images {
    /// Those of the registry that the command line names, or of this machine.
    pub(super) fn at(
        registry: Option<&Address>,
        server: &Server,
        only_to_read: bool,
        work: &Work,
    ) -> anyhow::Result<Self> {
        match registry {
            Some(address) => Ok(Self::Server(reach(address, server.remote())?.require_wharf()?)),
            None => Self::of(server.config.as_deref(), only_to_read, work),
        }
    }

    /// The option by which other commands ask for the same images: empty for those of this machine.
    pub(super) fn option(&self) -> String {
        match self {
            Self::Store(_) => String::new(),
            Self::Server(server) => server.option(),
        }
    }

    /// Those of the configuration at `config`, or of the one that is found as `serve` finds it.
    pub(super) fn of(config: Option<&Path>, only_to_read: bool, work: &Work) -> anyhow::Result<Self> {
        let settings = config::load(config)?;
        if let Some(server) = RunningServer::find(&settings)? {
            return Ok(Self::Server(server.with_patience(PATIENCE)));
        }
        let runtime = runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("cannot start")?;
        let (registry, retention) = runtime.block_on(open(&settings, only_to_read, work))?;
        Ok(Self::Store(Local {
            registry: Box::new(registry),
            retention,
            runtime,
        }))
    }
}

async fn open(settings: &Settings, only_to_read: bool, work: &Work) -> anyhow::Result<(Registry, Retention)> {
    let storage = match only_to_read {
        true => offline::open_to_read(&settings.storage, work).await?,
        false => offline::open(&settings.storage, work).await?,
    };
    let pulls = match settings.activity {
        Some(_) => PullCounts::Written(Arc::clone(&storage) as Arc<dyn Objects>),
        None => PullCounts::None,
    };
    let options = Options {
        // The operator has the right to the files: deleting is off only where the configuration says so.
        delete_enabled: settings.deletion.is_enabled(true, true),
        ..settings.registry.clone()
    };
    let retention = Retention::new(settings.retention.policy.clone(), pulls);
    Ok((Registry::new(storage, options), retention))
}
