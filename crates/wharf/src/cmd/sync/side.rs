//! The registries of a list, each connected once.

use std::sync::Arc;

use wharf_client::{Address, Client};
use wharf_oci::RepoName;

use super::file::Entry;
use crate::{cli::Connection, cmd::transfer::connect};

/// Connections to all registries of a list, or why there is none.
pub(super) struct Clients(Vec<(Address, Result<Arc<Client>, String>)>);

/// A repository of a registry.
#[derive(Clone)]
pub(super) struct Repository {
    pub(super) client: Arc<Client>,
    /// The registry, equal for all ways to write it.
    pub(super) host: String,
    pub(super) name: RepoName,
}

impl Clients {
    /// Connects to each registry. One that cannot be reached does not keep the others from being mirrored.
    pub(super) async fn connect(entries: &[Entry], connection: &Connection) -> Self {
        let mut clients: Vec<(Address, Result<Arc<Client>, String>)> = Vec::new();
        for address in entries
            .iter()
            .flat_map(|entry| [&entry.from.registry, &entry.to.registry])
        {
            if !clients.iter().any(|(known, _)| known == address) {
                let client = connect(address, connection).await;
                clients.push((address.clone(), client.map_err(|error| format!("{error:#}"))));
            }
        }
        Self(clients)
    }

    /// The connection to a registry of the list; otherwise why there is none.
    pub(super) fn of(&self, address: &Address) -> Result<Arc<Client>, String> {
        let known = self.0.iter().find(|(known, _)| known == address);
        known.map_or_else(
            || Err(format!("`{}` is not connected", address.host())),
            |(_, client)| client.clone(),
        )
    }
}

impl Repository {
    /// Its name with that of the registry.
    pub(super) fn text(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    /// Whether it is the same one, however it is reached.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.host == other.host && self.name == other.name
    }
}
