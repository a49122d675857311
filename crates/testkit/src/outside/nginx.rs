//! nginx with the recipes of `docs/nginx.md`, each on a port of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "development only: the configuration of another program"
)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool;
use crate::tls::Identity;

/// How long nginx may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running nginx; it is killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Nginx {
    /// Starts nginx with the recipe under `heading`, on loopback, with these changes: pairs of what stands in the
    /// recipe and what to write instead. `listen` and the files of TLS are changed without asking.
    ///
    /// # Panics
    /// When the recipe has no such text, nginx is not installed or does not start; the message holds what it says.
    #[must_use]
    pub fn start(heading: &str, changes: &[(&str, &str)], identity: &Identity) -> Nginx {
        // Another program may take the port between our asking for a free one and nginx's taking it.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let mut nginx = Nginx::launch(heading, changes, identity, free.expect("a free port"));
            if nginx.listens() {
                return nginx;
            }
            let log = nginx.log();
            assert!(
                log.contains("Address already in use"),
                "nginx does not start:\n{log}"
            );
        }
        panic!("no port stays free until nginx has it");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has complained about.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn launch(heading: &str, changes: &[(&str, &str)], identity: &Identity, address: SocketAddr) -> Nginx {
        let directory = TempDir::with_prefix("wharf-nginx-").expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file is written");
        let mut recipe = recipe(heading);
        let mut change = |from: &str, to: &str| {
            assert!(recipe.contains(from), "the recipe `{heading}` has no `{from}`");
            recipe = recipe.replace(from, to);
        };
        if heading == "Plain HTTP" {
            change("listen 80;", &format!("listen {address};"));
        } else {
            change("listen 443 ", &format!("listen {address} "));
            change("/etc/ssl/registry.crt", &path("crt"));
            change("/etc/ssl/registry.key", &path("key"));
        }
        for (from, to) in changes {
            change(from, to);
        }
        write("crt", &identity.certificate);
        write("key", &identity.key);
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let places = places
            .map(|name| format!("{name}_temp_path {};", path(name)))
            .join("\n");
        write(
            "nginx.conf",
            &format!(
                "daemon off;\nmaster_process off;\npid {};\nevents {{ worker_connections 256; }}\n\
                 http {{\naccess_log off;\n{places}\n{recipe}\n}}\n",
                path("pid")
            ),
        );
        let log = std::fs::File::create(path("log")).expect("a log file");
        let child = Command::new(tool::find("nginx").expect("nginx was looked for"))
            .args(["-p", &path(""), "-c", &path("nginx.conf"), "-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("nginx starts");
        Nginx {
            child,
            address,
            directory,
        }
    }

    /// Waits until it listens; `false` when it has ended instead.
    fn listens(&mut self) -> bool {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if self
                .child
                .try_wait()
                .expect("our own child can be asked")
                .is_some()
            {
                return false;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "nginx does not listen:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // It might be somebody else who answers there.
        self.child
            .try_wait()
            .expect("our own child can be asked")
            .is_none()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The first block of configuration under a heading of `docs/nginx.md`.
fn recipe(heading: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/nginx.md");
    let text = std::fs::read_to_string(document).expect("the document is there");
    let block = text
        .split_once(&format!("\n## {heading}\n"))
        .and_then(|(_, below)| below.split_once("```nginx\n"))
        .and_then(|(_, block)| block.split_once("```"));
    let (block, _) = block.unwrap_or_else(|| panic!("docs/nginx.md has no recipe under `{heading}`"));
    block.to_owned()
}
