//! nginx with the recipes of `docs/nginx.md`, each on a port of its own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{process::Process, tls::Identity, tool};

/// How long nginx may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running nginx; it is killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Nginx {
    /// Starts nginx with the recipe under `heading`, on loopback, with these changes: pairs of a text in the
    /// recipe and its replacement. `listen` and the files of TLS are always replaced.
    ///
    /// # Panics
    ///
    /// When the recipe has no such text, nginx is not installed or does not start; the message holds its output.
    pub fn start(heading: &str, changes: &[(&str, &str)], identity: &Identity) -> Nginx {
        // Another program may take the free port before nginx does.
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

    /// Address at which nginx listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The output of nginx so far.
    pub fn log(&self) -> String {
        self.process.log()
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
        let process = Process::start(
            Command::new(tool::find("nginx").expect("nginx was looked for")).args([
                "-p",
                &path(""),
                "-c",
                &path("nginx.conf"),
                "-e",
                "stderr",
            ]),
        );
        Nginx {
            process,
            address,
            _directory: directory,
        }
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
                "nginx does not listen:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // The answer may be that of another program, if nginx has ended meanwhile.
        self.process.ended().is_none()
    }
}

/// The first block of configuration under a heading of `docs/nginx.md`.
fn recipe(heading: &str) -> String {
    let text =
        std::fs::read_to_string(tool::root_directory().join("docs/nginx.md")).expect("the document is there");
    let block = text
        .split_once(&format!("\n## {heading}\n"))
        .and_then(|(_, below)| below.split_once("```nginx\n"))
        .and_then(|(_, block)| block.split_once("```"));
    let (block, _) = block.unwrap_or_else(|| panic!("docs/nginx.md has no recipe under `{heading}`"));
    block.to_owned()
}
