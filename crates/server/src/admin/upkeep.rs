//! What a server takes care of by itself: the bytes of its blobs, and its certificate.

use std::sync::Arc;

use wharf_http::Tls;
use wharf_registry::ScrubRecord;

use super::{shown::time, wire};

/// What a server takes care of by itself.
#[derive(Debug, Clone, Default)]
pub struct Upkeep {
    scrub: Option<Arc<ScrubRecord>>,
    tls: Option<Tls>,
}

impl Upkeep {
    /// That of a server with this scrub, and this certificate.
    pub fn new(scrub: Option<Arc<ScrubRecord>>, tls: Option<Tls>) -> Self {
        Self { scrub, tls }
    }

    /// What the scrub has found.
    pub fn scrub(&self) -> Option<wire::ScrubState> {
        let numbers = self.scrub.as_ref()?.numbers();
        Some(wire::ScrubState {
            blobs: numbers.blobs,
            bytes: numbers.bytes,
            damaged: numbers.damaged,
            ended: numbers.ended.map(time),
        })
    }

    /// The certificate in force.
    pub async fn certificate(&self) -> Option<wire::CertificateState> {
        let ends = self.tls.as_ref()?.ends().await;
        Some(wire::CertificateState {
            ends: format!("{ends:.0}"),
        })
    }
}
