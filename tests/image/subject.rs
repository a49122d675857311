//! The image under test, and containers of it that are gone when the test is.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use wharf_testkit::{
    docker::{self, Docker},
    suite::Part,
    tool,
};

/// The file systems, and everything that Docker needs.
pub(crate) const NEEDS: &[Part] = &[
    docker::NEEDS[0],
    docker::NEEDS[1],
    docker::NEEDS[2],
    docker::NEEDS[3],
    Part::Made {
        path: "image/minimal/bin/registry",
        by: "cargo xtask image --rootfs-only",
    },
];

/// With a shell, as registry:2's.
pub(crate) const FULL: &str = "wharf-under-test:full";
/// The binary alone.
pub(crate) const MINIMAL: &str = "wharf-under-test:minimal";

/// The network of containers whose port is published: the daemon has none by default.
const NETWORK: &str = "published";

/// How long a container may take to log a line on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Docker with both images built.
pub(crate) fn docker(greeting: &str) -> Docker {
    static BUILT: OnceLock<()> = OnceLock::new();
    let docker = Docker::new(greeting);
    BUILT.get_or_init(|| {
        docker.run(&["network", "create", NETWORK]);
        let context = tool::target_directory().join("image").display().to_string();
        let file = tool::root_directory().join("Dockerfile").display().to_string();
        for (target, tag) in [("minimal", MINIMAL), ("full", FULL)] {
            docker.run(&[
                "build", "--file", &file, "--target", target, "--tag", tag, &context,
            ]);
        }
    });
    docker
}

/// A running container.
pub(crate) struct Container<'a> {
    pub(crate) docker: &'a Docker,
    pub(crate) id: String,
}

impl<'a> Container<'a> {
    /// `docker run --detach ARGUMENTS`, with port 5000 published on a free port of loopback.
    pub(crate) fn run(docker: &'a Docker, arguments: &[&str]) -> Container<'a> {
        let mut all = vec!["run", "--detach", "--network", NETWORK];
        all.extend(["--publish", "127.0.0.1:0:5000"]);
        all.extend(arguments);
        let said = docker.run(&all);
        // Warnings come first.
        let id = said.lines().last().expect("docker prints the id").to_owned();
        let container = Container { docker, id };
        container.wait_until_ready();
        container
    }

    /// Address of the registry in the container.
    pub(crate) fn authority(&self) -> String {
        authority_of(self.docker, &self.id)
    }

    /// Standard output and standard error.
    pub(crate) fn log(&self) -> String {
        let ran = self.docker.bench.try_run("docker", &["logs", &self.id]);
        ran.stdout + &ran.stderr
    }

    /// Output of a command in the container.
    pub(crate) fn exec(&self, arguments: &[&str]) -> String {
        let mut all = vec!["exec", &self.id];
        all.extend(arguments);
        self.docker.run(&all)
    }

    /// `docker stop`; the status with which it ended.
    pub(crate) fn stop(&self) -> String {
        self.docker.run(&["stop", &self.id]);
        self.docker
            .run(&["inspect", "--format", "{{.State.ExitCode}}", &self.id])
    }

    fn wait_until_ready(&self) {
        wait_for(|| self.log().contains("listening on"), || self.log());
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.docker
            .bench
            .try_run("docker", &["rm", "--force", "--volumes", &self.id]);
    }
}

/// Address of port 5000 of a container.
pub(crate) fn authority_of(docker: &Docker, container: &str) -> String {
    let said = docker.run(&["port", container, "5000/tcp"]);
    said.lines().next().expect("the port is published").to_owned()
}

/// Waits until `is_so`; otherwise the test fails with the text of `state`.
pub(crate) fn wait_for(is_so: impl Fn() -> bool, state: impl Fn() -> String) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < PATIENCE,
            "it does not come true:\n{}",
            state()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
