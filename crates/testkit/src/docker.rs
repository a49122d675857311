//! Docker Engine: a daemon for the tests, without networks, and its command line.

use std::{
    process::Command,
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    process::Process,
    suite::Part,
    tool::{self, Bench},
};

/// The parts that a test with [`Docker`] needs.
pub const NEEDS: &[Part] = &[
    Part::Program("dockerd"),
    Part::Program("docker"),
    Part::Program("busybox"),
    Part::Root,
];

/// How long the daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(180);

/// The one daemon of this process, started by the first test that needs it.
static DAEMON: Mutex<Option<Daemon>> = Mutex::new(None);

/// Stops the daemon, if a test started it.
pub fn stop() {
    let daemon = DAEMON
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    if let Some(mut daemon) = daemon {
        // The daemon also ends its containerd.
        daemon.process.stop();
    }
}

/// The `docker` command line on the daemon of the tests, with the build context of a small image.
#[derive(Debug)]
pub struct Docker {
    /// Temporary home of the command.
    pub bench: Bench,
}

impl Docker {
    /// A command line with a home of its own; the image that [`build`](Self::build) builds prints `greeting`.
    ///
    /// # Panics
    ///
    /// When the daemon does not start.
    pub fn new(greeting: &str) -> Docker {
        let socket = Daemon::shared();
        let bench = Bench::new()
            .environment("DOCKER_HOST", socket)
            .environment("DOCKER_BUILDKIT", "0");
        let busybox = tool::find("busybox").expect("busybox was looked for");
        bench.copy_in(&busybox, "context/busybox");
        bench.write("context/greeting", greeting);
        bench.write(
            "context/Dockerfile",
            "FROM scratch\nCOPY busybox /bin/busybox\nCOPY greeting /greeting\n\
             CMD [\"/bin/busybox\", \"cat\", \"/greeting\"]\n",
        );
        Docker { bench }
    }

    /// Builds the image that prints the greeting.
    pub fn build(&self, reference: &str) {
        self.run(&["build", "--no-cache", "--tag", reference, "context"]);
    }

    /// The output of `docker` with `arguments`; the test fails when the command fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.bench.run("docker", arguments).trim_end().to_owned()
    }
}

/// A Docker daemon with directories of its own, without networks.
#[derive(Debug)]
struct Daemon {
    process: Process,
    directory: TempDir,
    /// Dropping it ends the thread that is the daemon's parent.
    _parent: mpsc::Sender<()>,
}

impl Daemon {
    /// The address of the daemon's socket; starts the daemon when there is none.
    fn shared() -> String {
        let mut daemon = DAEMON.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        daemon.get_or_insert_with(Daemon::start).address()
    }

    fn address(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }

    fn start() -> Daemon {
        let directory = TempDir::with_prefix("wharf-dockerd-").expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        // The kernel ends the daemon when the thread that started it ends, even if this process is killed.
        let mut command = Command::new(tool::find("setpriv").expect("`setpriv` is part of every Debian"));
        command
            .args(["--pdeathsig", "TERM"])
            .arg(tool::find("dockerd").expect("dockerd was looked for"))
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .args([
                "--ip-masq=false",
                "--userland-proxy=true",
                "--config-file",
                &path("daemon.json"),
            ])
            .args(["--host", &format!("unix://{}", path("docker.sock"))])
            .args([
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
                "--pidfile",
                &path("pid"),
            ]);
        std::fs::write(path("daemon.json"), "{}").expect("the configuration is written");
        let (parent, process) = start_in_thread(command);
        let mut daemon = Daemon {
            process,
            directory,
            _parent: parent,
        };
        daemon.wait_until_ready();
        daemon
    }

    fn wait_until_ready(&mut self) {
        let bench = Bench::new().environment("DOCKER_HOST", self.address());
        let started = Instant::now();
        while !bench.try_run("docker", &["version"]).succeeded {
            let ended = self.process.ended().is_some();
            assert!(
                !ended && started.elapsed() < PATIENCE,
                "the Docker daemon does not start:\n{}",
                self.process.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Starts a command in a thread that lives until the sender is dropped.
fn start_in_thread(mut command: Command) -> (mpsc::Sender<()>, Process) {
    let (parent, ended) = mpsc::channel::<()>();
    let (started, process) = mpsc::channel();
    std::thread::spawn(move || {
        started.send(Process::start(&mut command)).unwrap();
        // The other side never sends: this returns when it is dropped.
        ended.recv().unwrap_or(());
    });
    (parent, process.recv().unwrap())
}
