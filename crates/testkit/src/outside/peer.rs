//! Other people's registries, each on a port of its own with a data directory that the test gives.

#![expect(
    clippy::disallowed_methods,
    reason = "development only: configuration files of other programs"
)]

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool;
use super::wire::{Request, Response};

/// How long a registry may take to listen.
const PATIENCE: Duration = Duration::from_secs(120);

/// Debian's `registry:2`, version 2.8.2.
pub const REGISTRY_2: &str = "docker-registry";
/// `registry:3`, as `go install` names it.
pub const REGISTRY_3: &str = "registry";

/// A running registry; it is killed when dropped, its data directory is left alone.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    authority: String,
    directory: TempDir,
}

impl Peer {
    /// Starts one of [`REGISTRY_2`], [`REGISTRY_3`], or whatever takes their configuration (a path),
    /// on loopback over a tree at `root`, with deletion on.
    ///
    /// # Panics
    /// When the program is missing or does not listen within 120 s; the message holds its log.
    #[must_use]
    pub fn start(program: &str, root: &Path) -> Peer {
        Peer::start_with(program, root, &[])
    }

    /// The same, with these variables in its environment, which may override its configuration.
    ///
    /// # Panics
    /// As [`Peer::start`].
    #[must_use]
    pub fn start_with(program: &str, root: &Path, environment: &[(&str, &str)]) -> Peer {
        let binary = tool::find(program).unwrap_or_else(|| panic!("`{program}` is not installed"));
        let directory = TempDir::with_prefix("wharf-peer-").expect("a temporary directory");
        let (configuration, log) = (directory.path().join("config.yml"), directory.path().join("log"));
        std::fs::write(&configuration, configuration_for(root)).expect("the configuration is written");
        let output = std::fs::File::create(&log).expect("a log file");
        let child = Command::new(binary)
            .arg("serve")
            .arg(&configuration)
            .env("OTEL_TRACES_EXPORTER", "none")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("the registry starts");
        let mut peer = Peer {
            child,
            authority: String::new(),
            directory,
        };
        peer.authority = peer.wait_until_it_listens(&log);
        peer
    }

    /// Runs `garbage-collect --dry-run` over a tree that no server uses, and answers what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn collect_dry_run(program: &str, root: &Path) -> String {
        garbage_collect(program, root, &["--dry-run"])
    }

    /// Runs `garbage-collect` over a tree that no server uses, and answers what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn collect(program: &str, root: &Path) -> String {
        garbage_collect(program, root, &[])
    }

    /// Asks the registry to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it has already ended, or does not end within 120 s.
    pub fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)
            .expect("our own child can be asked");
        let asked = Instant::now();
        while self
            .child
            .try_wait()
            .expect("our own child can be asked")
            .is_none()
        {
            assert!(
                asked.elapsed() < PATIENCE,
                "the registry does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request to this registry.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn send(&self, request: &Request) -> io::Result<Response> {
        request.send(&self.authority)
    }

    /// The last lines that the registry has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn wait_until_it_listens(&mut self, log: &Path) -> String {
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            if let Some(authority) = authority_in(&text) {
                return authority;
            }
            let ended = self
                .child
                .try_wait()
                .expect("our own child can be asked")
                .is_some();
            assert!(
                !ended && started.elapsed() < PATIENCE,
                "the registry does not listen:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The address in a whole line that says `listening on 127.0.0.1:5000` or `listening on http://127.0.0.1:5000`.
fn authority_in(log: &str) -> Option<String> {
    let whole = &log[..=log.rfind('\n')?];
    let rest = whole.split("listening on ").nth(1)?;
    let rest = rest.strip_prefix("http://").unwrap_or(rest);
    let end = rest.find(|character: char| !matches!(character, '0'..='9' | '.' | ':'))?;
    Some(rest[..end].to_owned())
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn garbage_collect(program: &str, root: &Path, flags: &[&str]) -> String {
    let bench = tool::Bench::new();
    bench.write("config.yml", &configuration_for(root));
    let configuration = bench.path("config.yml").display().to_string();
    let line = [&["garbage-collect"], flags, &[&configuration]].concat();
    bench.run(program, &line)
}

fn configuration_for(root: &Path) -> String {
    format!(
        "version: 0.1\n\
         log: {{level: info, formatter: text, accesslog: {{disabled: true}}}}\n\
         storage:\n\
         \x20 filesystem: {{rootdirectory: {}}}\n\
         \x20 delete: {{enabled: true}}\n\
         \x20 maintenance: {{uploadpurging: {{enabled: false, age: 168h, interval: 24h, dryrun: false}}}}\n\
         http:\n\
         \x20 addr: 127.0.0.1:0\n\
         \x20 secret: not-a-secret\n",
        root.display()
    )
}
