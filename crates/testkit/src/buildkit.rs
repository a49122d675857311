//! BuildKit: a daemon for a test, with a root of its own, and its command line.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    process::Process,
    suite::Part,
    tool::{self, Bench},
};

/// The parts that a test with [`BuildKit`] needs. The builds run nothing, but the daemon does not start without `runc`.
pub const NEEDS: &[Part] = &[
    Part::Program("buildkitd"),
    Part::Program("buildctl"),
    Part::Program("runc"),
    Part::Root,
];

/// How long the daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running daemon, with the build context of a small image; it ends when this is dropped.
#[derive(Debug)]
pub struct BuildKit {
    process: Process,
    bench: Bench,
}

impl BuildKit {
    /// Starts a daemon that talks to the registry at `authority` without TLS.
    ///
    /// # Panics
    ///
    /// When a program is not installed, or the daemon does not start; the message holds its output.
    pub fn start(authority: &str) -> BuildKit {
        let bench = Bench::new();
        let path = |name: &str| bench.path(name).display().to_string();
        bench.write("context/source", "made of this\n");
        bench.write("context/result", "becomes this\n");
        bench.write(
            "context/Dockerfile",
            "FROM scratch AS first\nCOPY source /source\nFROM scratch\nCOPY --from=first /source /source\nCOPY result /result\n",
        );
        let runc = tool::find("runc").expect("runc was looked for");
        bench.write(
            "buildkitd.toml",
            &format!(
                "root = \"{}\"\n[worker.oci]\nsnapshotter = \"native\"\nbinary = \"{}\"\n[worker.containerd]\nenabled = false\n\
                 [registry.\"{authority}\"]\nhttp = true\n",
                path("root"),
                runc.display(),
            ),
        );
        let mut command = Command::new(tool::find("buildkitd").expect("buildkitd was looked for"));
        command.args(["--config", &path("buildkitd.toml")]);
        command.args(["--addr", &format!("unix://{}", path("buildkitd.sock"))]);
        let mut daemon = BuildKit {
            process: Process::start(&mut command),
            bench,
        };
        daemon.wait_until_ready();
        daemon
    }

    /// Builds the image of the context with these further arguments, and returns the progress that was shown.
    ///
    /// # Panics
    ///
    /// When the build fails.
    pub fn build(&self, arguments: &[&str]) -> String {
        let fixed = [
            "build",
            "--progress=plain",
            "--frontend=dockerfile.v0",
            "--local=context=context",
            "--local=dockerfile=context",
        ];
        self.run(&[&fixed, arguments].concat())
    }

    /// Makes the daemon forget what it has built.
    pub fn forget(&self) {
        self.run(&["prune", "--all"]);
    }

    fn run(&self, arguments: &[&str]) -> String {
        let address = format!("--addr={}", self.address());
        let ran = self
            .bench
            .try_run("buildctl", &[&[address.as_str()], arguments].concat());
        assert!(
            ran.succeeded,
            "`{}` failed\n{}\n{}",
            ran.line,
            ran.stderr,
            self.process.log()
        );
        ran.stderr
    }

    fn address(&self) -> String {
        format!("unix://{}", self.bench.path("buildkitd.sock").display())
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let address = format!("--addr={}", self.address());
        while !self
            .bench
            .try_run("buildctl", &[address.as_str(), "debug", "workers"])
            .succeeded
        {
            let ended = self.process.ended().is_some();
            assert!(
                !ended && started.elapsed() < PATIENCE,
                "buildkitd does not start:\n{}",
                self.process.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        // It unmounts what it has mounted below its root, which can be removed then.
        self.process.stop();
    }
}
