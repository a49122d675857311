//! Byte ranges: the `Range` of a download, and the `Content-Range` of a chunk in both of its dialects.

use std::{fmt, ops::Range, str::FromStr};

use crate::text::{Quoted, shortened};

/// The most ranges that one request can ask for: what podman asks for at most when it updates parts of a layer. Each
/// costs a read and some 120 bytes of the answer.
pub const MAX_RANGES: usize = 1024;

/// The bytes that a `Range` header requests, of content of a known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeRequest {
    /// The whole content: answer 200 as without the header. Also for headers that cannot be read, and for more than
    /// [`MAX_RANGES`], which a server may ignore (RFC 9110, section 14.2).
    Whole,
    /// These bytes, at least one, none beyond the end: answer 206.
    One(Range<u64>),
    /// Several such ranges, none of which overlap, in the order of the request: answer 206 with a part for each.
    ///
    /// Ranges that overlap are one, so that no byte is sent twice. Ranges that only touch stay apart: clients such as
    /// podman take the n-th part for the n-th range of their request.
    Many(Vec<Range<u64>>),
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
    match (specs.next(), specs.next()) {
        (Some(only), None) => match Spec::parse(only, size) {
            Spec::Bytes(range) => satisfiable(range),
            Spec::Reversed => RangeRequest::Unsatisfiable,
            Spec::Invalid => RangeRequest::Whole,
        },
        (Some(first), Some(second)) => several([first, second].into_iter().chain(specs), size),
        (None, _) => RangeRequest::Whole,
    }
}

/// The answer to two or more ranges.
fn several<'a>(specs: impl Iterator<Item = &'a str>, size: u64) -> RangeRequest {
    let mut ranges = Vec::new();
    for (count, spec) in specs.enumerate() {
        if count == MAX_RANGES {
            return RangeRequest::Whole;
        }
        match Spec::parse(spec, size) {
            Spec::Bytes(range) if range.is_empty() => {}
            Spec::Bytes(range) => ranges.push(range),
            Spec::Reversed => return RangeRequest::Unsatisfiable,
            Spec::Invalid => return RangeRequest::Whole,
        }
    }
    let mut ranges = without_overlaps(ranges);
    match ranges.len() {
        0 => RangeRequest::Unsatisfiable,
        1 => RangeRequest::One(ranges.remove(0)),
        _ => RangeRequest::Many(ranges),
    }
}

/// Makes one range of those that overlap, at the place of the first of them.
fn without_overlaps(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<(usize, Range<u64>)> = ranges.into_iter().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, range)| range.start);
    let mut apart: Vec<(usize, Range<u64>)> = Vec::with_capacity(sorted.len());
    for (place, range) in sorted {
        match apart.last_mut() {
            Some((first, before)) if range.start < before.end => {
                *first = place.min(*first);
                before.end = range.end.max(before.end);
            }
            _ => apart.push((place, range)),
        }
    }
    apart.sort_unstable_by_key(|(place, _)| *place);
    apart.into_iter().map(|(_, range)| range).collect()
}

/// One range of a `Range` header.
enum Spec {
    /// These bytes of the content; none, if it is not satisfiable.
    Bytes(Range<u64>),
    /// A range that ends before it starts. It may be ignored or refused; registry:2 refuses it.
    Reversed,
    /// No range, or the last bytes of nothing: these are satisfiable, but 206 has no way to say so.
    Invalid,
}

impl Spec {
    fn parse(spec: &str, size: u64) -> Self {
        let Some((first, last)) = spec.split_once('-') else {
            return Self::Invalid;
        };
        match (position(first), position(last)) {
            (Some(first), Some(last)) if first <= last => {
                Self::Bytes(first.min(size)..last.saturating_add(1).min(size))
            }
            (Some(_), Some(_)) => Self::Reversed,
            (Some(first), None) if last.is_empty() => Self::Bytes(first.min(size)..size),
            (None, Some(0)) if first.is_empty() => Self::Bytes(size..size),
            (None, Some(length)) if first.is_empty() && size > 0 => {
                Self::Bytes(size.saturating_sub(length)..size)
            }
            _ => Self::Invalid,
        }
    }
}

fn satisfiable(range: Range<u64>) -> RangeRequest {
    if range.is_empty() {
        RangeRequest::Unsatisfiable
    } else {
        RangeRequest::One(range)
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
/// Read as `5-9`, as the distribution specification has it ("Pushing a blob in chunks"), as `bytes 5-9/10`, as HTTP has it,
/// and in what clients make of the two: `bytes 5-9`, `bytes=5-9`, `5-9/10`. The number behind the slash may be `*`. A
/// chunk of no bytes ends one byte before it starts: `5-4`, and `0--1` at the beginning, which clients of registry:2 send.
/// Shown in the form of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkRange {
    /// Position of the first byte in the blob.
    pub start: u64,
    /// Position behind the last byte, at which the next chunk starts; not before `start`, and at most `i64::MAX`.
    pub end: u64,
}

impl ChunkRange {
    /// How many bytes the chunk has.
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the chunk has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromStr for ChunkRange {
    type Err = ChunkRangeError;

    fn from_str(header: &str) -> Result<Self, ChunkRangeError> {
        let malformed = || ChunkRangeError::Malformed {
            header: shortened(header),
        };
        let text = header.trim_matches(WHITE);
        let text = strip_unit(text).unwrap_or(text);
        let (range, total) = match text.split_once('/') {
            Some((range, total)) => (range, Some(total)),
            None => (text, None),
        };
        let (start, last) = range.split_once('-').ok_or_else(malformed)?;
        let start = position(start).ok_or_else(malformed)?;
        let end = match last {
            "-1" => 0,
            last => position(last).ok_or_else(malformed)?.saturating_add(1),
        };
        if start > end {
            return Err(ChunkRangeError::Reversed {
                start,
                end: shortened(last),
            });
        }
        // The size of a blob fits an `i64`, like every file's.
        if end > i64::MAX.unsigned_abs() {
            return Err(ChunkRangeError::TooLarge);
        }
        if let Some(total) = total.filter(|total| *total != "*") {
            let total = position(total).ok_or_else(malformed)?;
            if end > total {
                return Err(ChunkRangeError::BeyondTotal {
                    end: end.saturating_sub(1),
                    total,
                });
            }
        }
        Ok(Self { start, end })
    }
}

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end.checked_sub(1) {
            Some(last) => write!(f, "{}-{last}", self.start),
            None => f.write_str("0--1"),
        }
    }
}

/// The text behind `bytes` and white space or an equals sign.
fn strip_unit(text: &str) -> Option<&str> {
    let (unit, rest) = text.split_once([' ', '\t', '='])?;
    unit.eq_ignore_ascii_case("bytes")
        .then(|| rest.trim_start_matches(WHITE))
}

/// Why a `Content-Range` is not valid for a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkRangeError {
    /// The header is in no known form.
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
        /// Second number of the range, as the client sent it.
        end: String,
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
