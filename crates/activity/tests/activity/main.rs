//! The activity log: what is recorded, written, kept and read.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod allocations;
mod common;
mod log;
