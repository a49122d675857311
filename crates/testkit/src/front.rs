//! Reverse proxies with the recipes of their documents, each on a port of its own: Apache, HAProxy and Caddy.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{process::Process, tls::Identity, tool};

/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// A running proxy; it is killed when dropped.
#[derive(Debug)]
pub struct RunningFront {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Front {
    /// Starts the proxy in front of `upstream`, with the certificate of `identity`.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start; the message holds its output.
    pub fn start(self, upstream: SocketAddr, identity: &Identity) -> RunningFront {
        // Another program may take the free port before the proxy does.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let mut front = self.launch(upstream, identity, free.expect("a free port"));
            if front.listens() {
                return front;
            }
            let log = front.process.log();
            assert!(
                log.to_lowercase().contains("address already in use"),
                "{self:?} does not start:\n{log}"
            );
        }
        panic!("no port stays free until the proxy has it");
    }

    fn launch(self, upstream: SocketAddr, identity: &Identity, address: SocketAddr) -> RunningFront {
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
        let mut change = |from: &str, to: &str| {
            assert!(recipe.contains(from), "the recipe of {self:?} has no `{from}`");
            recipe = recipe.replace(from, to);
        };
        change("127.0.0.1:5000", &upstream.to_string());
        change("/etc/ssl/", &path(""));
        match self {
            Self::Apache => {
                change("*:443", &address.to_string());
                recipe = format!("{}{recipe}", apache(directory.path(), address));
            }
            Self::Haproxy => change("bind :443", &format!("bind {address}")),
            Self::Caddy => {
                let site = format!("https://localhost:{}", address.port());
                change("registry.example.com", &site);
                let own = path("data");
                // Nothing but the site may listen, or touch the files of the user.
                recipe = format!(
                    "{{\n\tadmin off\n\tstorage file_system {own}\n\tauto_https disable_redirects\n\
                     \tdefault_bind 127.0.0.1\n}}\n{recipe}"
                );
            }
        }
        write("configuration", &recipe);
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
        RunningFront {
            process: Process::start(&mut command),
            address,
            _directory: directory,
        }
    }

    /// The first block of configuration in the proxy's document.
    fn recipe(self) -> String {
        let (document, language) = match self {
            Self::Apache => ("docs/apache.md", "apache"),
            Self::Haproxy => ("docs/haproxy.md", "haproxy"),
            Self::Caddy => ("docs/caddy.md", "caddy"),
        };
        let text =
            std::fs::read_to_string(tool::root_directory().join(document)).expect("the document is there");
        let block = text.split_once(&format!("```{language}\n"));
        let block = block.and_then(|(_, block)| block.split_once("```"));
        let (block, _) = block.unwrap_or_else(|| panic!("{document} has no recipe"));
        block.to_owned()
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

impl RunningFront {
    /// Address at which the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The output of the proxy so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it listens; `false` when it has ended instead.
    fn listens(&mut self) -> bool {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if self.process.ended().is_some() {
                return false;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "the proxy does not listen:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // The answer may be that of another program, if the proxy has ended meanwhile.
        self.process.ended().is_none()
    }
}
