//! Configurations and the real binary: what is found, what counts, what is said, and what it then does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests write files")]

mod contract;
mod effects;
mod look;

/// The tests run the real binary.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_wharf");
