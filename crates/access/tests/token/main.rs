//! Tokens of a token server: what is accepted, what is refused, and what is remembered.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod accepted;
mod chains;
mod keys;
mod mutations;
mod refused;
mod scene;
