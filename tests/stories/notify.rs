//! Events: which are delivered to which endpoint, and that none gets lost.

mod configuration;
mod durability;
mod endpoints;
mod events;
mod secrets;

use wharf_testkit::{Received, ServerBuilder, image::Blob};

/// Configures the endpoint `url`; `more` are further keys of the endpoint, each with a comma before it.
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

/// Actions and repositories of events.
pub(crate) fn digests(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .map(|received| received.event()["target"]["digest"].as_str().unwrap().to_owned())
        .collect()
}

/// Digests of the blobs.
pub(crate) fn digests_of(blobs: &[Blob]) -> Vec<String> {
    blobs.iter().map(|blob| blob.digest.clone()).collect()
}
