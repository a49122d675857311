//! Several ranges of a blob in one answer: `multipart/byteranges` (RFC 9110, section 14.6).

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::HeaderValue;
use wharf_oci::{Digest, media_type};
use wharf_registry::OpenBlob;

use super::answer::value;
use crate::body::Content;

/// The most characters of a boundary are 70 (RFC 2046, section 5.1.1).
const BOUNDARY_DIGITS: usize = 64;

/// The body that sends `ranges` of `blob`, a part for each, and its media type.
///
/// The boundary is the blob's own digest: no content is known that contains its digest, so it never occurs in a part.
/// One part is read after the other, and nothing of the body is made before its turn.
pub(super) fn body(blob: OpenBlob, ranges: Vec<Range<u64>>) -> (Content, HeaderValue) {
    let parts = Parts {
        boundary: boundary(&blob.info.digest),
        size: blob.info.size,
    };
    let content_type = value(format!("multipart/byteranges; boundary={}", parts.boundary));
    let remaining = parts.length(&ranges);
    let end = Bytes::from(parts.end());
    let mut is_first = true;
    let sent = stream::iter(ranges).flat_map(move |range| {
        let head = parts.head(&range, std::mem::take(&mut is_first));
        stream::iter([Ok(Bytes::from(head))]).chain(blob.part(range))
    });
    let content = Content::Stream {
        stream: Box::pin(sent.chain(stream::iter([Ok(end)]))),
        remaining,
    };
    (content, content_type)
}

fn boundary(digest: &Digest) -> String {
    let hex = digest.hex();
    hex.as_str().chars().take(BOUNDARY_DIGITS).collect()
}

/// The parts of a body.
struct Parts {
    boundary: String,
    /// Size of the whole blob in bytes.
    size: u64,
}

impl Parts {
    /// What stands before the bytes of `range`.
    fn head(&self, range: &Range<u64>, is_first: bool) -> String {
        format!(
            "{}--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            if is_first { "" } else { "\r\n" },
            self.boundary,
            media_type::OCTET_STREAM,
            content_range(range, self.size)
        )
    }

    /// What stands behind the last part.
    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// Number of bytes of the whole body.
    fn length(&self, ranges: &[Range<u64>]) -> u64 {
        let parts = ranges.iter().enumerate().map(|(place, range)| {
            let head = self.head(range, place == 0);
            head.len() as u64 + (range.end - range.start)
        });
        parts.sum::<u64>() + self.end().len() as u64
    }
}

/// The value of `Content-Range` for `range` of a blob of `size` bytes.
pub(super) fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}
