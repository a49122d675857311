//! The `Content-Range` of a chunk: all dialects mean the same, and nothing overflows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::ChunkRange;

fuzz_target!(|header: &str| {
    for header in [header, &format!("bytes {header}")] {
        match header.parse::<ChunkRange>() {
            Ok(chunk) => {
                assert!(chunk.start <= chunk.end && chunk.end <= i64::MAX.unsigned_abs());
                assert_eq!(chunk.len(), chunk.end - chunk.start);
                assert_eq!(chunk.to_string().parse(), Ok(chunk));
                for unit in ["", "bytes ", "bytes="] {
                    for total in [String::new(), "/*".to_owned(), format!("/{}", chunk.end)] {
                        assert_eq!(format!("{unit}{chunk}{total}").parse(), Ok(chunk));
                    }
                }
            }
            Err(error) => assert!(error.to_string().chars().count() < 1200),
        }
    }
});
