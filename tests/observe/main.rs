//! Health, metrics, logs, traces and activity of the real server.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests lay out files for the server, and fail by panicking"
)]

mod activity;
mod debug;
mod health;
mod logs;
mod metrics;
mod outgoing;
mod traces;

use std::net::SocketAddr;

use wharf_testkit::{Client, Server, ServerBuilder, eventually};

fn builder() -> ServerBuilder {
    Server::builder(env!("CARGO_BIN_EXE_wharf"))
}

/// A server with a debug port that shows health and metrics.
fn watched() -> ServerBuilder {
    builder().http("debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}")
}

/// A client of the debug port.
async fn watcher(server: &Server) -> Client {
    eventually("the second port is named", async || {
        debug_address(&server.log()).is_some()
    })
    .await;
    Client::http1(debug_address(&server.log()).unwrap())
}

fn debug_address(log: &str) -> Option<SocketAddr> {
    let rest = log.split("debug server listening ").nth(1)?;
    let end = rest.find(|c: char| !matches!(c, '0'..='9' | '.' | ':'))?;
    rest[..end].parse().ok()
}

/// The value of a line of the page of metrics.
fn value(page: &str, line: &str) -> Option<f64> {
    page.lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}
