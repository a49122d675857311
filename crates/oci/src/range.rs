//! Byte ranges: the `Range` of a download, and the `Content-Range` of a chunk in both of its dialects.

use std::{fmt, ops::Range, str::FromStr};

use crate::text::{Quoted, shortened};

/// The bytes that a `Range` header requests, of content of a known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeRequest {
    /// The whole content: answer 200 as without the header. Also for headers that cannot be read, and for several
    /// ranges at once, which a server need not serve (RFC 9110, section 14.2).
    Whole,
    /// These bytes, at least one, none beyond the end: answer 206.
    One(Range<u64>),
    /// No byte of the content: answer 416.
    Unsatisfiable,
}

/// Reads a `Range` header (RFC 9110, section 14) for content of `size` bytes.
pub fn parse_range(header: &str, size: u64) -> RangeRequest {
    let Some((unit, set)) = header.trim_matches(WHITE).split_once('=') else {
        return RangeRequest::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return RangeRequest::Whole;
    }
    // A list may have empty members (RFC 9110, section 5.6.1.2).
    let mut specs = set
        .split(',')
        .map(|spec| spec.trim_matches(WHITE))
        .filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else {
        return RangeRequest::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return RangeRequest::Whole;
    };
    match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => from_to(first, last.saturating_add(1).min(size)),
        // A range that ends before it starts may be ignored or refused; registry:2 refuses it.
        (Some(_), Some(_)) => RangeRequest::Unsatisfiable,
        (Some(first), None) if last.is_empty() => from_to(first, size),
        (None, Some(0)) if first.is_empty() => RangeRequest::Unsatisfiable,
        // The last bytes of nothing are satisfiable, but 206 has no way to say so.
        (None, Some(_)) if first.is_empty() && size == 0 => RangeRequest::Whole,
        (None, Some(length)) if first.is_empty() => from_to(size.saturating_sub(length), size),
        _ => RangeRequest::Whole,
    }
}

fn from_to(start: u64, end: u64) -> RangeRequest {
    if start < end {
        RangeRequest::One(start..end)
    } else {
        RangeRequest::Unsatisfiable
    }
}

const WHITE: [char; 2] = [' ', '\t'];

/// A number of any length; those beyond `u64` are as good as its maximum. `None` for anything but digits.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// The `Content-Range` of a chunk of an upload.
///
/// Read in both dialects: `5-9`, as the distribution specification has it ("Pushing a blob in chunks"), and
/// `bytes 5-9/10` or `bytes 5-9/*`, as HTTP has it. Shown in the former.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkRange {
    /// Position of the first byte in the blob.
    pub start: u64,
    /// Position of the last byte in the blob; not before `start`, and below `i64::MAX`.
    pub end_inclusive: u64,
}

impl ChunkRange {
    /// How many bytes the chunk has: at least one.
    // It has no `is_empty`, because it never is.
    #[expect(clippy::len_without_is_empty, reason = "a chunk is never empty")]
    pub fn len(&self) -> u64 {
        self.end().saturating_sub(self.start)
    }

    /// Position at which the next chunk starts.
    pub fn end(&self) -> u64 {
        self.end_inclusive.saturating_add(1)
    }
}

impl FromStr for ChunkRange {
    type Err = ChunkRangeError;

    fn from_str(header: &str) -> Result<Self, ChunkRangeError> {
        let malformed = || ChunkRangeError::Malformed {
            header: shortened(header),
        };
        let text = header.trim_matches(WHITE);
        let (range, total) = match strip_unit(text) {
            Some(rest) => rest
                .split_once('/')
                .map(|(range, total)| (range, Some(total)))
                .ok_or_else(malformed)?,
            None => (text, None),
        };
        let (start, end) = range.split_once('-').ok_or_else(malformed)?;
        let (start, end_inclusive) = (
            position(start).ok_or_else(malformed)?,
            position(end).ok_or_else(malformed)?,
        );
        if start > end_inclusive {
            return Err(ChunkRangeError::Reversed {
                start,
                end: end_inclusive,
            });
        }
        // The size of a blob fits an `i64`, like every file's.
        if end_inclusive >= i64::MAX.unsigned_abs() {
            return Err(ChunkRangeError::TooLarge);
        }
        if let Some(total) = total.filter(|total| *total != "*") {
            let total = position(total).ok_or_else(malformed)?;
            if end_inclusive >= total {
                return Err(ChunkRangeError::BeyondTotal {
                    end: end_inclusive,
                    total,
                });
            }
        }
        Ok(Self { start, end_inclusive })
    }
}

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end_inclusive)
    }
}

/// The text behind `bytes` and white space.
fn strip_unit(text: &str) -> Option<&str> {
    let (unit, rest) = text.split_once(WHITE)?;
    unit.eq_ignore_ascii_case("bytes")
        .then(|| rest.trim_start_matches(WHITE))
}

/// Why a `Content-Range` is not valid for a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkRangeError {
    /// The header is in neither dialect.
    #[error("`Content-Range` of a chunk is written `5-9` or `bytes 5-9/10`, not {}", Quoted(.header))]
    Malformed {
        /// Text that the client sent.
        header: String,
    },
    /// The range ends before it starts.
    #[error("`Content-Range` ends at byte {end}, before it starts at byte {start}")]
    Reversed {
        /// First number of the range.
        start: u64,
        /// Second number of the range.
        end: u64,
    },
    /// The range ends behind its own total.
    #[error("`Content-Range` ends at byte {end} of only {total}; the last byte of n is n - 1")]
    BeyondTotal {
        /// Second number of the range.
        end: u64,
        /// Number behind the slash.
        total: u64,
    },
    /// The range lies beyond the largest possible blob.
    #[error("`Content-Range` lies beyond the largest possible blob, 2^63 - 1 bytes")]
    TooLarge,
}
