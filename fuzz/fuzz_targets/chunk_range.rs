//! The `Content-Range` of a chunk: both dialects mean the same, and nothing overflows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::ChunkRange;

fuzz_target!(|header: &str| {
    for header in [header, &format!("bytes {header}")] {
        match header.parse::<ChunkRange>() {
            Ok(chunk) => {
                assert!(chunk.start <= chunk.end_inclusive && chunk.end() <= i64::MAX.unsigned_abs());
                assert_eq!(chunk.len(), chunk.end() - chunk.start);
                assert_eq!(chunk.to_string().parse(), Ok(chunk));
                assert_eq!(format!("bytes {chunk}/{}", chunk.end()).parse(), Ok(chunk));
                assert_eq!(format!("bytes {chunk}/*").parse(), Ok(chunk));
            }
            Err(error) => assert!(error.to_string().chars().count() < 1200),
        }
    }
});
