//! The registries against which each command is tried: wharf on both engines and on a bucket, registry:2 and registry:3.

use std::{
    process::{Child, Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use tempfile::TempDir;
use wharf_testkit::{
    Server,
    bucket::BucketStore,
    peer::{Peer, REGISTRY_2, REGISTRY_3},
    suite::{Part, Suite},
};

use crate::scene::{Engine, Said, builder, command, host};

/// A kind of registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    Memory,
    Bucket,
    Two,
    Three,
}

/// All kinds.
pub(crate) const ALL: [Kind; 5] = [
    Kind::Directory,
    Kind::Memory,
    Kind::Bucket,
    Kind::Two,
    Kind::Three,
];

/// Those of wharf.
pub(crate) const WHARFS: [Kind; 3] = [Kind::Directory, Kind::Memory, Kind::Bucket];

/// A registry that runs.
pub(crate) struct Registry {
    pub(crate) kind: Kind,
    /// Host and port.
    pub(crate) host: String,
    process: Process,
}

enum Process {
    /// With the store of its bucket.
    Wharf(
        Box<Server>,
        #[expect(dead_code, reason = "it ends when it is dropped")] Option<BucketStore>,
    ),
    /// With the directory of its data.
    Other(
        Peer,
        #[expect(dead_code, reason = "it is removed when it is dropped")] TempDir,
    ),
}

/// The password of the users of [`Registry::with_users`].
pub(crate) const PASSWORD: &str = "correct horse";

/// Each test on a bucket has a directory of its own there.
static DIRECTORIES: AtomicUsize = AtomicUsize::new(0);

impl Kind {
    pub(crate) fn is_wharf(self) -> bool {
        WHARFS.contains(&self)
    }

    fn needs(self) -> &'static [Part] {
        match self {
            Self::Directory | Self::Memory => &[],
            Self::Bucket => &[Part::Bucket],
            Self::Two => &[Part::Program(REGISTRY_2)],
            Self::Three => &[Part::Program(REGISTRY_3)],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Directory => "wharf_on_a_directory",
            Self::Memory => "wharf_in_memory",
            Self::Bucket => "wharf_on_a_bucket",
            Self::Two => "registry_2",
            Self::Three => "registry_3",
        }
    }
}

impl Registry {
    /// Starts a registry in which every client may do everything.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[], |builder| builder)
    }

    /// Starts a registry of wharf in which `root` is the administrator, and `alice` a user.
    pub(crate) fn with_users(kind: Kind) -> Self {
        let lines: Vec<String> = ["root", "alice"]
            .iter()
            .map(|name| run(&["htpasswd", "-nbB", "-C", "4", name, PASSWORD]).good())
            .collect();
        Self::start_with(kind, &[], |builder| {
            builder.write("htpasswd", lines.concat().replace("\n\n", "\n"));
            let path = builder.path("htpasswd").display().to_string();
            builder.htpasswd(&path).config("access: {admins: [root]}")
        })
    }

    /// As [`start`](Self::start), with variables for another registry, and a configuration for wharf.
    pub(crate) fn start_with(
        kind: Kind,
        environment: &[(&str, &str)],
        configure: impl FnOnce(wharf_testkit::ServerBuilder) -> wharf_testkit::ServerBuilder,
    ) -> Self {
        let process = match kind {
            Kind::Directory => Process::Wharf(Box::new(configure(builder(Engine::Filesystem)).start()), None),
            Kind::Memory => Process::Wharf(Box::new(configure(builder(Engine::Memory)).start()), None),
            Kind::Bucket => {
                let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
                let directory = format!("commands-{}-{number}", std::process::id());
                let store = BucketStore::of_this_run();
                let server = configure(builder(Engine::Filesystem).bucket(&store, &directory)).start();
                Process::Wharf(Box::new(server), Some(store))
            }
            Kind::Two | Kind::Three => {
                let root = TempDir::with_prefix("wharf-commands-").unwrap();
                let program = if kind == Kind::Two { REGISTRY_2 } else { REGISTRY_3 };
                Process::Other(Peer::start_with(program, root.path(), environment), root)
            }
        };
        let host = match &process {
            Process::Wharf(server, _) => host(server),
            Process::Other(peer, _) => peer.authority().to_owned(),
        };
        Self { kind, host, process }
    }

    /// The name of something in this registry.
    pub(crate) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// The server, of wharf.
    pub(crate) fn server(&self) -> &Server {
        match &self.process {
            Process::Wharf(server, _) => server,
            Process::Other(..) => panic!("another registry"),
        }
    }
}

/// A test for each of `kinds`.
pub(crate) fn on_each(suite: &mut Suite, kinds: &[Kind], name: &str, test: fn(&Registry)) {
    for &kind in kinds {
        suite.test(&format!("{name}_{}", kind.name()), kind.needs(), move || {
            test(&Registry::start(kind));
        });
    }
}

/// A test for each kind of wharf, with users.
pub(crate) fn on_each_with_users(suite: &mut Suite, name: &str, test: fn(&Registry)) {
    for kind in WHARFS {
        suite.test(&format!("{name}_{}", kind.name()), kind.needs(), move || {
            test(&Registry::with_users(kind));
        });
    }
}

/// Runs wharf where no configuration of this machine is found.
pub(crate) fn run(arguments: &[&str]) -> Said {
    Said::of(output(&mut quiet(arguments)))
}

/// Runs wharf with the login of `user` at `host`.
pub(crate) fn run_as(user: &str, host: &str, arguments: &[&str]) -> Said {
    Said::of(output(&mut quiet_as(user, host, arguments)))
}

/// Starts a command that goes on until it is killed, with its standard output in a pipe.
pub(crate) fn start_as(user: &str, host: &str, arguments: &[&str]) -> Started {
    let mut command = quiet_as(user, host, arguments);
    Started(command.stdout(std::process::Stdio::piped()).spawn().unwrap())
}

/// A command that is killed at the end of its test.
pub(crate) struct Started(pub(crate) Child);

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn quiet_as(user: &str, host: &str, arguments: &[&str]) -> Command {
    let auths = serde_json::json!({"auths": {host: {"username": user, "password": PASSWORD}}});
    let mut command = quiet(arguments);
    command.env("DOCKER_AUTH_CONFIG", auths.to_string());
    command
}

fn quiet(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command
        .env("REGISTRY_CONFIGURATION_PATH", "/dev/null")
        .stdin(std::process::Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}
