//! The way of commands to the server that runs on the same store.

use std::time::Duration;

use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::{self, Runtime};
use wharf_client::control::{Control, ControlError};

use crate::config::Settings;

/// A running server, as commands reach it.
#[derive(Debug)]
pub(crate) struct RunningServer {
    control: Control,
    runtime: Runtime,
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
        Ok(Some(Self { control, runtime }))
    }

    /// Waits for so long for each answer.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.control = self.control.with_patience(patience);
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
        self.runtime
            .block_on(self.control.request(method, path, query, body))
    }
}
