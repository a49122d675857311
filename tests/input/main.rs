//! Bad input, and what it gets: a clear refusal, nothing half-stored, and a server that lives on.
#![expect(clippy::print_stdout, reason = "says what a machine cannot test")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files behind the server's back"
)]

mod connections;
mod digests;
mod disks;
mod manifests;
mod names;
mod ranges;
mod uploads;

/// The tests run the real binary.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_wharf");
