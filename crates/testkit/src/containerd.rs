//! containerd: a daemon for a test, with a root and a socket of its own, for its command line `ctr`.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    process::Process,
    suite::Part,
    tool::{self, Bench},
};

/// The parts that a test with [`Containerd`] needs.
pub const NEEDS: &[Part] = &[Part::Program("containerd"), Part::Program("ctr"), Part::Root];

/// How long the daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running daemon; it ends when this is dropped.
#[derive(Debug)]
pub struct Containerd {
    process: Process,
    bench: Bench,
}

impl Containerd {
    /// Starts a daemon.
    ///
    /// # Panics
    ///
    /// When a program is not installed, or the daemon does not start; the message holds its output.
    pub fn start() -> Containerd {
        let bench = Bench::new();
        let path = |name: &str| bench.path(name).display().to_string();
        // The first of the two is for Kubernetes, the other one makes `/opt/containerd`.
        bench.write(
            "containerd.toml",
            &format!(
                "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
                 disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
                 [grpc]\naddress = \"{}\"\n",
                path("root"),
                path("state"),
                path("containerd.sock"),
            ),
        );
        let mut command = Command::new(tool::find("containerd").expect("containerd was looked for"));
        command.args(["--config", &path("containerd.toml")]);
        let mut daemon = Containerd {
            process: Process::start(&mut command),
            bench,
        };
        daemon.wait_until_ready();
        daemon
    }

    /// A bench on which `ctr` talks to this daemon. Images are unpacked by plain copies, which needs nothing from the kernel.
    pub fn for_commands_on(&self, bench: Bench) -> Bench {
        bench
            .environment("CONTAINERD_ADDRESS", self.address())
            .environment("CONTAINERD_SNAPSHOTTER", "native")
    }

    fn address(&self) -> String {
        self.bench.path("containerd.sock").display().to_string()
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let address = self.address();
        let version = ["--address", &address, "version"];
        while !self.bench.try_run("ctr", &version).succeeded {
            let ended = self.process.ended().is_some();
            assert!(
                !ended && started.elapsed() < PATIENCE,
                "containerd does not start:\n{}",
                self.process.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.process.stop();
    }
}
