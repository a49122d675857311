//! Other registries, each on a port of its own with a data directory that the test gives.

use std::{io, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    bucket::BucketStore,
    process::{Place, Process},
    raw::RawAnswer,
    tool::{self, Bench},
    wire::Request,
};

/// Debian's `registry:2`, version 2.8.2.
pub const REGISTRY_2: &str = "docker-registry";
/// `registry:3`, as `go install` names it.
pub const REGISTRY_3: &str = "registry";

/// A running registry; it is killed when dropped, its data directory is left alone.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    authority: String,
    _directory: TempDir,
}

impl Peer {
    /// Starts one of [`REGISTRY_2`], [`REGISTRY_3`], or another program that takes their configuration (a path),
    /// on loopback over a tree at `root`, with deletion on.
    ///
    /// # Panics
    ///
    /// When the program is missing or does not listen; the message holds its log.
    pub fn start(program: &str, root: &Path) -> Self {
        Self::start_with(program, root, &[])
    }

    /// As [`Peer::start`], with these variables in its environment, which may override its configuration.
    ///
    /// # Panics
    ///
    /// As [`Peer::start`].
    pub fn start_with(program: &str, root: &Path, environment: &[(&str, &str)]) -> Self {
        Self::configured(program, &[directory_at(root)], environment)
    }

    fn configured(program: &str, store: &[String], environment: &[(&str, &str)]) -> Self {
        let binary = tool::find(program).unwrap_or_else(|| panic!("`{program}` is not installed"));
        let directory = TempDir::with_prefix("wharf-peer-").unwrap();
        let configuration = directory.path().join("config.yml");
        std::fs::write(&configuration, configuration_for(store)).unwrap();
        let mut process = Process::start(
            Command::new(binary)
                .arg("serve")
                .arg(configuration)
                .env("OTEL_TRACES_EXPORTER", "none")
                .envs(environment.iter().copied()),
        );
        let authority = match process.place() {
            Ok(Place::Tcp(address)) => address.to_string(),
            Ok(Place::Unix(path)) => panic!("the registry listens on {}", path.display()),
            Err(why) => panic!("{program}: {why}"),
        };
        Self {
            process,
            authority,
            _directory: directory,
        }
    }

    /// As [`Peer::start`], over a directory of a bucket.
    ///
    /// # Panics
    ///
    /// As [`Peer::start`].
    pub fn on_bucket(program: &str, store: &BucketStore, directory: &str) -> Self {
        Self::configured(program, &store.configuration(directory), &[])
    }

    /// Runs `garbage-collect --dry-run` over a tree that no server uses, and answers what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn collect_dry_run(program: &str, root: &Path) -> String {
        garbage_collect(program, root, &["--dry-run"])
    }

    /// Runs `garbage-collect` over a tree that no server uses, and answers what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn collect(program: &str, root: &Path) -> String {
        garbage_collect(program, root, &[])
    }

    /// Asks the registry to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    ///
    /// When it has already ended, or does not end.
    pub fn stop(mut self) {
        self.process.stop();
    }

    /// Number of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request to this registry.
    ///
    /// # Errors
    ///
    /// As [`Request::send`].
    pub fn send(&self, request: &Request) -> io::Result<RawAnswer> {
        request.send(&self.authority)
    }

    /// The last lines that the registry has logged.
    pub fn log(&self) -> String {
        let log = self.process.log();
        let lines = log.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

fn garbage_collect(program: &str, root: &Path, flags: &[&str]) -> String {
    let bench = Bench::new();
    bench.write("config.yml", &configuration_for(&[directory_at(root)]));
    let configuration = bench.path("config.yml").display().to_string();
    let line = [&["garbage-collect"], flags, &[&configuration]].concat();
    bench.run(program, &line)
}

fn directory_at(root: &Path) -> String {
    format!("filesystem: {{rootdirectory: {}}}", root.display())
}

/// The configuration of a registry with these lines that name its store.
fn configuration_for(store: &[String]) -> String {
    let store: String = store.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "version: 0.1\n\
         log: {{level: info, formatter: text, accesslog: {{disabled: true}}}}\n\
         storage:\n\
         {store}\
         \x20 delete: {{enabled: true}}\n\
         \x20 maintenance: {{uploadpurging: {{enabled: false, age: 168h, interval: 24h, dryrun: false}}}}\n\
         \x20 redirect: {{disable: true}}\n\
         http:\n\
         \x20 addr: 127.0.0.1:0\n\
         \x20 secret: not-a-secret\n"
    )
}
