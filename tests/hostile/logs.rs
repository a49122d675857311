//! Readers of the logs that stand still.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use wharf_testkit::{Client, PATIENCE, RawConnection, ServerBuilder, suite::Suite};

use crate::stories;

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(suite, [logs_that_are_not_read_stop_neither_requests_nor_the_end]);
}

/// More refused requests than both pipes have room for lines of.
const REQUESTS: usize = 2000;

/// A server whose logs are read up to its address, and not any further.
pub(crate) struct Unread {
    child: Child,
    pub(crate) address: SocketAddr,
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Unread {
    pub(crate) fn start(builder: &ServerBuilder) -> Self {
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:0', draintimeout: 1s}}\n",
            builder.root().display()
        );
        builder.write("unread.yml", config);
        let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["serve".into(), builder.path("unread.yml")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(
                stdout.read_line(&mut line).unwrap() > 0,
                "it does not say where it listens"
            );
            let found = line.split([' ', '/', '\n']).find_map(|word| word.parse().ok());
            if let Some(address) = found {
                break address;
            }
        };
        Self {
            child,
            address,
            _stdout: stdout,
        }
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "SIGTERM does not end it");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // A server that has ended stays as it is.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn logs_that_are_not_read_stop_neither_requests_nor_the_end(builder: ServerBuilder) {
    let server = Unread::start(&builder);
    let mut raw = RawConnection::open(server.address).await;
    for _ in 0..REQUESTS {
        raw.send("GET /v2/no/manifests/none HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        raw.answer().await.expect(404);
    }
    Client::http1(server.address).get("/v2/").await.expect(200);
    assert!(server.stop().await.success());
}
