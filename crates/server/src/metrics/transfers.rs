//! The metrics of blob transfers between clients and the store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use wharf_http::{Exposition, HttpMetrics, Source, number};

use super::table::{BLOB_BYTES, UPLOADS};
use crate::handlers::BLOB;

/// The counters of blob transfers.
#[derive(Debug)]
pub(crate) struct TransferMetrics {
    http: Arc<HttpMetrics>,
    uploads: AtomicU64,
    received: AtomicU64,
}

/// Counts a request that sends the bytes of a blob, until it is dropped.
#[derive(Debug)]
pub(crate) struct CountedUpload<'a>(&'a TransferMetrics);

impl Drop for CountedUpload<'_> {
    fn drop(&mut self) {
        self.0.uploads.fetch_sub(1, Relaxed);
    }
}

impl TransferMetrics {
    pub(super) fn new(http: Arc<HttpMetrics>) -> Self {
        Self {
            http,
            uploads: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// Counts a request that begins to send the bytes of a blob.
    pub(crate) fn upload(&self) -> CountedUpload<'_> {
        self.uploads.fetch_add(1, Relaxed);
        CountedUpload(self)
    }

    /// Counts bytes of a blob that were received from a client.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Relaxed);
    }
}

impl Source for TransferMetrics {
    fn write(&self, page: &mut Exposition) {
        page.family(&UPLOADS)
            .value(&[], number(self.uploads.load(Relaxed)));
        let mut bytes = page.family(&BLOB_BYTES);
        bytes.value(&["in"], number(self.received.load(Relaxed)));
        bytes.value(&["out"], number(self.http.response_bytes(BLOB)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::HANDLERS;

    #[test]
    fn uploads_count_while_they_last() {
        let metrics = TransferMetrics::new(Arc::new(HttpMetrics::new(&HANDLERS)));
        let page = || {
            let mut page = Exposition::default();
            metrics.write(&mut page);
            page.finish()
        };
        let upload = metrics.upload();
        metrics.received(7);
        assert!(page().contains("wharf_uploads_in_progress 1\n"), "{}", page());
        drop(upload);
        assert!(page().contains("wharf_uploads_in_progress 0\n"), "{}", page());
        assert!(
            page().contains("wharf_blob_bytes_total{direction=\"in\"} 7\n"),
            "{}",
            page()
        );
    }
}
