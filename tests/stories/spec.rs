//! The requirements of the OCI distribution specification 1.1 and the Docker Registry HTTP API V2.
//!
//! One module for each endpoint; `end-N` and the quoted sentences are those of the specification.
//! Every test runs against a server, once for each storage engine.

mod blob_delete;
mod blob_mount;
mod blob_pull;
mod blob_push_chunked;
mod blob_push_monolithic;
mod blob_ranges;
mod build_cache;
mod catalog;
mod content_range;
mod decisions;
mod errors;
mod headers;
mod manifest_delete;
mod manifest_pull;
mod manifest_push;
mod names;
mod paths;
mod referrers;
mod tags;
mod version_check;
