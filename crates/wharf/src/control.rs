//! The way of commands to the administration API of a server: of the one that runs on the same store, at its socket, or of a wharf
//! somewhere else, over the network.

use std::time::Duration;

use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::{self, Runtime};
use wharf_client::{
    Address, Client,
    control::{Control, ControlError},
};

use crate::config::Settings;

/// A running server, as commands reach it.
#[derive(Debug)]
pub(crate) struct RunningServer {
    way: Way,
    runtime: Runtime,
}

/// The way to a server.
#[derive(Debug)]
enum Way {
    Socket(Control),
    Network(Box<Client>, Address),
}

impl RunningServer {
    /// The server that `settings` lead to; `None`: none runs, or it has no control socket.
    pub(crate) fn find(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(socket) = settings.control_socket() else {
            return Ok(None);
        };
        let Some(control) = Control::find(&socket.path)? else {
            return Ok(None);
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let way = Way::Socket(control);
        Ok(Some(Self { way, runtime }))
    }

    /// The wharf at `address` that `client` is connected to, in the runtime of the connection.
    pub(crate) fn over_network(client: Client, address: Address, runtime: Runtime) -> Self {
        let way = Way::Network(Box::new(client), address);
        Self { way, runtime }
    }

    /// The option by which other commands ask the same server: empty for the one of this machine.
    pub(crate) fn option(&self) -> String {
        match &self.way {
            Way::Socket(_) => String::new(),
            Way::Network(_, address) => format!(" --server {}", address.host()),
        }
    }

    /// Waits for so long for each answer. Over the network the client has its own limits.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        if let Way::Socket(control) = self.way {
            self.way = Way::Socket(control.with_patience(patience));
        }
        self
    }

    /// Sends a request without a body.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ControlError> {
        self.send(method, path, query, None::<&()>)
    }

    /// Sends a request with a body.
    pub(crate) fn tell<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: &(impl Serialize + Sync),
    ) -> Result<T, ControlError> {
        self.send(method, path, query, Some(body))
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ControlError> {
        self.runtime.block_on(async {
            match &self.way {
                Way::Socket(control) => control.request(method, path, query, body).await,
                Way::Network(client, _) => Ok(client.administer(method, path, query, body).await?),
            }
        })
    }
}
