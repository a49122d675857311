//! Stories of the server's answers: each runs against a server of its own, most of them in this process.
//!
//! A story that needs a process (its log, its signals, its user) registers with [`BINARY`].
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "says what a machine cannot test")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files behind the server's back"
)]

mod admin;
mod in_process;
mod input;
mod mirror;
mod notify;
mod races;
mod rights;
mod spec;
mod ui;

/// Starts a server in the process of the tests.
const LAUNCHER: wharf_testkit::StartInProcess =
    |configuration, environment| in_process::start(wharf::start(configuration, environment.iter().cloned()));

/// Starts the real binary.
const BINARY: &str = env!("CARGO_BIN_EXE_wharf");
