//! What the OCI distribution specification 1.1 and the Docker Registry HTTP API V2 ask of a registry.
//!
//! One module for each endpoint; `end-N` and the quoted sentences are those of the specification.
//! Every test runs against the real server, once for each storage engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files behind the server's back"
)]

mod blob_delete;
mod blob_mount;
mod blob_pull;
mod blob_push_chunked;
mod blob_push_monolithic;
mod catalog;
mod decisions;
mod errors;
mod headers;
mod manifest_delete;
mod manifest_pull;
mod manifest_push;
mod names;
mod referrers;
mod tags;
mod version_check;

/// The tests run the real binary.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_wharf");
