//! Reverse proxies with the recipes of their documents, each on a port of its own: Apache, HAProxy and Caddy.

use std::{net::SocketAddr, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    process::Process,
    proxy::{Proxy, Recipe},
    tls::Identity,
    tool,
};

/// A program that stands in front of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// Apache's httpd, by `docs/apache.md`.
    Apache,
    /// HAProxy, by `docs/haproxy.md`.
    Haproxy,
    /// Caddy, by `docs/caddy.md`.
    Caddy,
}

impl Front {
    /// Starts the proxy in front of `upstream`, with the certificate of `identity`.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start; the message holds its output.
    pub fn start(self, upstream: SocketAddr, identity: &Identity) -> Proxy {
        let name = format!("{self:?}");
        Proxy::start(&name, |address| self.launch(upstream, identity, address))
    }

    fn launch(self, upstream: SocketAddr, identity: &Identity, address: SocketAddr) -> (Process, TempDir) {
        let directory = TempDir::with_prefix("wharf-front-").expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file is written");
        write("registry.crt", &identity.certificate);
        write("registry.key", &identity.key);
        write(
            "registry.pem",
            &format!("{}{}", identity.certificate, identity.key),
        );
        let mut recipe = self.recipe();
        recipe.change("127.0.0.1:5000", &upstream.to_string());
        recipe.change("/etc/ssl/", &path(""));
        match self {
            Self::Apache => {
                recipe.change("*:443", &address.to_string());
                recipe.text = format!("{}{}", apache(directory.path(), address), recipe.text);
            }
            Self::Haproxy => recipe.change("bind :443", &format!("bind {address}")),
            Self::Caddy => {
                let site = format!("https://localhost:{}", address.port());
                recipe.change("registry.example.com", &site);
                let own = path("data");
                // Nothing but the site may listen, or touch the files of the user.
                recipe.text = format!(
                    "{{\n\tadmin off\n\tstorage file_system {own}\n\tauto_https disable_redirects\n\
                     \tdefault_bind 127.0.0.1\n}}\n{}",
                    recipe.text
                );
            }
        }
        write("configuration", &recipe.text);
        let configuration = path("configuration");
        let program = |name| Command::new(tool::find(name).expect("the proxy was looked for"));
        let mut command = match self {
            Self::Apache => {
                let mut command = program("apache2");
                command.args(["-X", "-f", &configuration]);
                command
            }
            Self::Haproxy => {
                let mut command = program("haproxy");
                command.args(["-db", "-f", &configuration]);
                command
            }
            Self::Caddy => {
                let mut command = program("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config", &configuration]);
                command
                    .env("HOME", directory.path())
                    .env("XDG_CONFIG_HOME", directory.path());
                command
            }
        };
        (Process::start(&mut command), directory)
    }

    /// The first block of configuration in the proxy's document.
    fn recipe(self) -> Recipe {
        let (document, language) = match self {
            Self::Apache => ("docs/apache.md", "apache"),
            Self::Haproxy => ("docs/haproxy.md", "haproxy"),
            Self::Caddy => ("docs/caddy.md", "caddy"),
        };
        Recipe::read(document, None, language)
    }
}

/// What Debian's configuration of Apache has outside of a site.
fn apache(directory: &Path, address: SocketAddr) -> String {
    let own = directory.display();
    let modules = [
        "mpm_event",
        "authz_core",
        "env",
        "headers",
        "proxy",
        "proxy_http",
        "ssl",
        "reqtimeout",
    ];
    let modules =
        modules.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    format!(
        "ServerRoot {own}\nServerName localhost\nListen {address}\nPidFile {own}/pid\nDefaultRuntimeDir {own}\n\
         Mutex file:{own} default\nErrorLog /dev/stderr\n{}RequestReadTimeout header=20-40,minrate=500 body=20,minrate=500\n",
        modules.concat()
    )
}
