//! `kill -9` of the real server at random moments, under load and amid deletions: what it acknowledged is there.
//!
//! A few cycles run with every test run; `WHARF_CRASH_CYCLES=500 cargo test --test crash --
//! --nocapture` is the soak.
#![expect(clippy::print_stdout, reason = "tells how many cycles were survived")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod amid;
mod kill;
mod second_process;

/// The tests run the real binary.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_wharf");
