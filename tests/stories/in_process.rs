//! A server in the process of the test, on a runtime of its own.

use std::net::SocketAddr;

use tokio::{runtime::Runtime, task::block_in_place};
use wharf_testkit::InProcess;

/// Starts a server, which is `starting`.
pub(crate) fn start(
    starting: impl Future<Output = anyhow::Result<wharf::Running>>,
) -> Result<Box<dyn InProcess>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // The runtime of a start that fails is dropped where blocking is allowed.
    let started = block_in_place(|| {
        let started = runtime.block_on(starting);
        started.map(|running| (running, runtime))
    });
    let (running, runtime) = started.map_err(|error| format!("{error:#}"))?;
    let address = running.address().to_string().parse().unwrap();
    Ok(Box::new(OwnRuntime {
        address,
        running: Some(running),
        runtime: Some(runtime),
    }))
}

/// A server on its runtime. Dropping it cuts what runs, as the end of a process would.
struct OwnRuntime {
    address: SocketAddr,
    running: Option<wharf::Running>,
    runtime: Option<Runtime>,
}

impl InProcess for OwnRuntime {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(mut self: Box<Self>) {
        let (running, runtime) = (self.running.take().unwrap(), self.runtime.as_ref().unwrap());
        block_in_place(|| runtime.block_on(running.stop())).unwrap();
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        let runtime = self.runtime.take();
        // A runtime waits for the files that its threads still write.
        block_in_place(|| drop(runtime));
    }
}
