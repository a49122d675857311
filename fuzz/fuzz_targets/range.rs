//! The `Range` of a download: the ranges of the answer lie within the content, and none overlaps another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{MAX_RANGES, RangeRequest, parse_range};

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    for header in [header, &format!("bytes={header}")] {
        match parse_range(header, size) {
            RangeRequest::One(range) => {
                assert!(range.start < range.end && range.end <= size);
                let canonical = format!("bytes={}-{}", range.start, range.end - 1);
                assert_eq!(parse_range(&canonical, size), RangeRequest::One(range));
            }
            RangeRequest::Many(ranges) => {
                assert!((2..=MAX_RANGES).contains(&ranges.len()));
                let specs = ranges.iter().map(|range| format!("{}-{}", range.start, range.end - 1));
                let canonical = format!("bytes={}", specs.collect::<Vec<_>>().join(","));
                assert_eq!(parse_range(&canonical, size), RangeRequest::Many(ranges.clone()));
                let mut sorted = ranges;
                sorted.sort_by_key(|range| range.start);
                assert!(sorted.iter().all(|range| range.start < range.end && range.end <= size));
                assert!(sorted.windows(2).all(|pair| pair[0].end <= pair[1].start));
            }
            RangeRequest::Whole | RangeRequest::Unsatisfiable => {}
        }
    }
});
