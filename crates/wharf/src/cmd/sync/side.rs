//! The registries of a list, each connected once.

use std::sync::Arc;

use wharf_client::{Address, Client};
use wharf_oci::RepoName;

use super::file::Entry;
use crate::{cli::Connection, cmd::transfer::connect};

/// Connections to all registries of a list.
pub(super) struct Clients(Vec<(Address, Arc<Client>)>);

/// A repository of a registry.
#[derive(Clone)]
pub(super) struct Repository {
    pub(super) client: Arc<Client>,
    pub(super) host: String,
    pub(super) name: RepoName,
}

impl Clients {
    pub(super) async fn connect(entries: &[Entry], connection: &Connection) -> anyhow::Result<Self> {
        let mut clients: Vec<(Address, Arc<Client>)> = Vec::new();
        for address in entries
            .iter()
            .flat_map(|entry| [&entry.from.registry, &entry.to.registry])
        {
            if !clients.iter().any(|(known, _)| known == address) {
                clients.push((address.clone(), connect(address, connection).await?));
            }
        }
        Ok(Self(clients))
    }

    /// The connection to a registry of the list.
    pub(super) fn of(&self, address: &Address) -> anyhow::Result<Arc<Client>> {
        let known = self.0.iter().find(|(known, _)| known == address);
        let client = known.map(|(_, client)| Arc::clone(client));
        client.ok_or_else(|| anyhow::anyhow!("`{}` is not connected", address.host()))
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
