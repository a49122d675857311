//! Development only: the real server on a free port, actors that talk to it, and what they push.
//!
//! A test reads as a story: a [`Server`] is started, an actor ([`Client`], and its [`Repository`])
//! pushes something that a builder of [`image`] made, and each [`Answer`] is checked where it
//! arrives. When a test that used the file system ends well, the server is killed and [`store`]
//! checks the whole tree: a test that leaves a dangling tag behind fails, whatever it looked at.
//!
//! **Architecture invariant:** nothing here uses the crates of the server. Digests, layouts and
//! expectations are computed from the specifications once more, so that a mistake in the server is
//! not repeated in what it is compared with.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test kit fails by panicking, looks at files behind the server's back, and shows logs"
)]

mod client;
mod connect;
pub mod digest;
pub mod image;
pub mod outside;
mod raw;
mod receiver;
mod server;
pub mod store;
pub mod tls;

pub use bytes::Bytes;
pub use client::{Answer, Client, Repository, Request, Unanswered, basic};
pub use http::{Method, StatusCode};
pub use raw::{RawAnswer, RawConnection};
pub use receiver::{Behaviour, ClosedPort, Received, Receiver};
pub use serde_json::{self, Value, json};
pub use server::{Engine, Server, ServerBuilder};

use std::time::Duration;

/// No test waits longer than this for anything: past it, something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one test to its end on a runtime of its own.
pub fn run<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Polls `condition` until it holds.
///
/// # Panics
///
/// When it still does not hold after [`PATIENCE`]; `what` says what was waited for.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {PATIENCE:?} in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Registers tests, `async fn name(server: Server)`, once for each storage engine.
///
/// A function that is not registered is dead code, which the lints refuse.
#[macro_export]
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod filesystem {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(env!("CARGO_BIN_EXE_wharf")).start()).await });
            })+
        }
        mod inmemory {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(env!("CARGO_BIN_EXE_wharf")).inmemory().start()).await });
            })+
        }
    };
}

/// Registers tests, `async fn name(builder: ServerBuilder)`, that configure their server, once for
/// each storage engine.
#[macro_export]
macro_rules! configured_on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod configured_filesystem {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(env!("CARGO_BIN_EXE_wharf"))).await });
            })+
        }
        mod configured_inmemory {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(env!("CARGO_BIN_EXE_wharf")).inmemory()).await });
            })+
        }
    };
}

/// Registers tests, `async fn name(builder: ServerBuilder)`, that need a tree on a disk.
#[macro_export]
macro_rules! on_disk {
    ($($test:ident),+ $(,)?) => {
        mod disk {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(env!("CARGO_BIN_EXE_wharf"))).await });
            })+
        }
    };
}
