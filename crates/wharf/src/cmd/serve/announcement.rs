//! The first lines on standard output: the server's address and its main settings.

use std::{
    io::{self, Write as _},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use wharf_http::ListenAddress;

use crate::{
    config::{Auth, DeletePolicy, Engine, Settings},
    services::Services,
    version,
};

/// Time that a reader of standard output has to take the announcement.
const PATIENCE: Duration = Duration::from_secs(1);

/// The summary of a server that an operator reads at its start.
pub(super) struct Announcement<'a> {
    listening_on: ListenAddress,
    is_encrypted: bool,
    prefix: &'a str,
    is_read_only: bool,
    storage: &'a Engine,
    source: Option<&'a Path>,
    /// Authentication of clients.
    auth: Option<&'a Auth>,
    is_delete_enabled: bool,
    is_delete_decided: bool,
}

impl<'a> Announcement<'a> {
    pub(super) fn of(settings: &'a Settings, services: &Services) -> Self {
        Self {
            listening_on: services.address().clone(),
            is_encrypted: settings.tls.is_some(),
            prefix: &settings.server.prefix,
            is_read_only: settings.server.read_only,
            storage: &settings.storage,
            source: settings.source.as_ref().map(|source| source.path.as_path()),
            auth: settings.auth.as_ref(),
            is_delete_enabled: services.is_delete_enabled(),
            is_delete_decided: settings.deletion != DeletePolicy::WhenUsersOrLoopback,
        }
    }

    /// Prints it to standard output.
    pub(super) fn print(&self) {
        let text = self.text();
        let (printed, is_printed) = mpsc::channel();
        // A closed stdout is no reason not to serve, and neither is one whose reader stands still.
        let print = move || {
            _ = io::stdout().lock().write_all(text.as_bytes());
            _ = printed.send(());
        };
        if thread::Builder::new().spawn(print).is_ok() {
            _ = is_printed.recv_timeout(PATIENCE);
        }
    }

    fn text(&self) -> String {
        let version = version::WHOLE;
        let data = match self.storage {
            Engine::Filesystem { root } => std::path::absolute(root)
                .unwrap_or(root.clone())
                .display()
                .to_string(),
            Engine::InMemory => "in memory, lost when the server stops".to_owned(),
            Engine::S3(bucket) => bucket.place(),
            Engine::Cloud(bucket) => bucket.place(),
        };
        let configuration = match self.source {
            Some(path) => path.display().to_string(),
            None => "none".to_owned(),
        };
        let users = match self.auth {
            Some(Auth::Htpasswd(htpasswd)) => format!("those in {}", htpasswd.path.display()),
            Some(Auth::Token(token)) => format!("those with a token of {}", token.settings.issuer),
            None => "every client, without a password".to_owned(),
        };
        let switch = if self.is_delete_enabled { "on" } else { "off" };
        let reason = match (self.is_delete_decided, self.is_delete_enabled) {
            (true, _) => "as configured".to_owned(),
            (false, true) if self.auth.is_some() => {
                "because users log in; `storage.delete.enabled` decides otherwise".to_owned()
            }
            (false, true) => {
                "because only this machine can connect; `storage.delete.enabled` decides otherwise".to_owned()
            }
            (false, false) => {
                "because every client can connect without a password; `storage.delete.enabled: true` allows it".to_owned()
            }
        };
        let mut text = format!(
            "wharf {version} listening on {url}\n  \
               data           {data}\n  \
               configuration  {configuration}\n  \
               users          {users}\n  \
               deleting       {switch}, {reason}\n",
            url = self.url(),
        );
        if self.is_read_only {
            text.push_str(
                "  pushing        off, because of `storage.maintenance.readonly.enabled`; deleting as well\n",
            );
        } else if let Some(host) = self.host() {
            text.push_str(&format!(
                "  try            docker tag my-image {host}/my-image && docker push {host}/my-image\n"
            ));
        }
        text
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        match &self.listening_on {
            ListenAddress::Tcp(address) => format!("{scheme}://{address}{}", self.prefix),
            unix @ ListenAddress::Unix(_) => format!("{scheme} at {unix}"),
        }
    }

    /// The registry's part of an image name; `None` when docker cannot connect directly.
    fn host(&self) -> Option<String> {
        match &self.listening_on {
            ListenAddress::Tcp(address) if self.prefix.is_empty() => Some(if address.ip().is_unspecified() {
                format!("localhost:{}", address.port())
            } else {
                address.to_string()
            }),
            ListenAddress::Tcp(_) | ListenAddress::Unix(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_say_what_to_do() {
        let text = Announcement {
            listening_on: ListenAddress::Tcp("[::]:5000".parse().unwrap()),
            is_encrypted: false,
            prefix: "",
            is_read_only: false,
            storage: &Engine::Filesystem { root: "/d".into() },
            source: None,
            auth: None,
            is_delete_enabled: false,
            is_delete_decided: false,
        }
        .text();
        for expected in [
            "listening on http://[::]:5000\n",
            "data           /d\n",
            "users          every client",
            "deleting       off, because every client can connect",
            "docker push localhost:5000/my-image",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
