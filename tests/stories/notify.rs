//! Events: what is delivered to which endpoint, and that nothing of it gets lost.

mod configuration;
mod durability;
mod endpoints;
mod events;
mod secrets;

use wharf_testkit::{Received, ServerBuilder, image::Blob};

/// Lets the server tell `url`; `more` are further keys of the endpoint, each with a comma before it.
pub(crate) fn telling(builder: ServerBuilder, url: &str, more: &str) -> ServerBuilder {
    builder
        .config(format!(
            "notifications: {{endpoints: [{{name: alice, url: '{url}'{more}}}]}}"
        ))
        .storage("delete: {enabled: true}")
}

/// Small blobs, different each.
pub(crate) fn blobs(count: u64) -> Vec<Blob> {
    (0..count).map(|seed| Blob::random(seed, 100)).collect()
}

/// What the events are about.
pub(crate) fn digests(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .map(|received| received.event()["target"]["digest"].as_str().unwrap().to_owned())
        .collect()
}

/// What the blobs are called.
pub(crate) fn digests_of(blobs: &[Blob]) -> Vec<String> {
    blobs.iter().map(|blob| blob.digest.clone()).collect()
}
