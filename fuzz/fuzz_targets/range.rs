//! The `Range` of a download: the range of the answer lies within the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{RangeRequest, parse_range};

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    for header in [header, &format!("bytes={header}")] {
        if let RangeRequest::One(range) = parse_range(header, size) {
            assert!(range.start < range.end && range.end <= size);
            let canonical = format!("bytes={}-{}", range.start, range.end - 1);
            assert_eq!(parse_range(&canonical, size), RangeRequest::One(range));
        }
    }
});
