//! A reverse proxy in front of the registry, by a recipe of the documents, on a port of its own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{process::Process, tool};

/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running proxy; it is killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    name: String,
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Proxy {
    /// Starts the proxy `name` by `launch`, which gets a free address and answers the process and its directory.
    ///
    /// # Panics
    ///
    /// When it does not start; the message holds its output.
    pub(crate) fn start(name: &str, launch: impl Fn(SocketAddr) -> (Process, TempDir)) -> Self {
        // Another program may take the free port before the proxy does.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let (process, directory) = launch(address);
            let mut proxy = Self {
                name: name.to_owned(),
                process,
                address,
                _directory: directory,
            };
            if proxy.listens() {
                return proxy;
            }
            let log = proxy.log();
            assert!(
                log.to_lowercase().contains("address already in use"),
                "{name} does not start:\n{log}"
            );
        }
        panic!("no port stays free until {name} has it");
    }

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
                "{} does not listen:\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // The answer may be that of another program, if the proxy has ended meanwhile.
        self.process.ended().is_none()
    }
}

/// The configuration of a proxy, as a document has it.
pub(crate) struct Recipe {
    source: String,
    pub(crate) text: String,
}

impl Recipe {
    /// The first block of `language` in `document`, below `heading` if that is given.
    pub(crate) fn read(document: &str, heading: Option<&str>, language: &str) -> Self {
        let text =
            std::fs::read_to_string(tool::root_directory().join(document)).expect("the document is there");
        let below = match heading {
            Some(heading) => text
                .split_once(&format!("\n## {heading}\n"))
                .map(|(_, below)| below),
            None => Some(&*text),
        };
        let source = heading.map_or_else(|| document.to_owned(), |heading| format!("{document}, {heading}"));
        let block = below
            .and_then(|below| below.split_once(&format!("```{language}\n")))
            .and_then(|(_, block)| block.split_once("```"));
        let (block, _) = block.unwrap_or_else(|| panic!("{source} has no recipe"));
        Self {
            text: block.to_owned(),
            source,
        }
    }

    /// A file that holds nothing else.
    pub(crate) fn file(path: &str) -> Self {
        let text = std::fs::read_to_string(tool::root_directory().join(path)).expect("the file is there");
        Self {
            text,
            source: path.to_owned(),
        }
    }

    /// Replaces a text, which the recipe must have.
    pub(crate) fn change(&mut self, from: &str, to: &str) {
        assert!(
            self.text.contains(from),
            "the recipe of {} has no `{from}`",
            self.source
        );
        self.text = self.text.replace(from, to);
    }
}
