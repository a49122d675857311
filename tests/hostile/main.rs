//! Hostile clients: whatever they send, memory stays bounded, other clients are served, and SIGTERM ends the server.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at files behind the server's back"
)]

mod connections;
mod logs;
mod signals;
mod streams;
mod work;

use std::time::Instant;

use wharf_testkit::{PATIENCE, Server, ServerBuilder, image, suite::Suite};

/// The most memory that the server may ever hold, in bytes.
const MEMORY_LIMIT: u64 = 200 << 20;

fn main() {
    let mut suite = Suite::default();
    connections::add_to(&mut suite);
    logs::add_to(&mut suite);
    signals::add_to(&mut suite);
    streams::add_to(&mut suite);
    work::add_to(&mut suite);
    suite.run().exit();
}

/// Adds a test that configures its own server.
pub(crate) fn add<F: Future<Output = ()> + 'static>(
    suite: &mut Suite,
    name: &str,
    story: impl FnOnce(ServerBuilder) -> F + Send + 'static,
) {
    let builder = || Server::builder(env!("CARGO_BIN_EXE_wharf"));
    suite.test(name, &[], move || wharf_testkit::run(story(builder())));
}

/// Adds tests under the names of their functions.
#[macro_export]
macro_rules! stories {
    ($suite:expr, [$($story:ident),+ $(,)?]) => {
        $($crate::add($suite, stringify!($story), $story);)+
    };
}

/// Checks the promise during an attack: another client pushes and pulls, and memory is within its limit.
pub(crate) async fn expect_service(server: &Server) {
    let repository = server.anonymous().repository("honest");
    repository.push_image("1", &image::oci(1)).await;
    repository.pull_image("1", &image::oci(1)).await;
    expect_memory(server);
}

/// Checks that memory stayed within its limit.
pub(crate) fn expect_memory(server: &Server) {
    let peak = server.peak_memory();
    assert!(peak <= MEMORY_LIMIT, "the server held {} MiB", peak >> 20);
}

/// Checks that SIGTERM ends the server while the attack goes on.
pub(crate) async fn expect_end(mut server: Server) {
    let begin = Instant::now();
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert!(begin.elapsed() < PATIENCE, "the end took {:?}", begin.elapsed());
}
