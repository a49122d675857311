//! Configurations and the real binary: the search for files, precedence, messages, and the effect of keys.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests write files")]

mod contract;
mod doctor;
mod effects;
mod files;
mod look;

/// The tests run the real binary.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_wharf");
