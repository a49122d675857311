//! Digests: a valid text is shown unchanged, and the JSON form agrees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::Digest;

fuzz_target!(|text: &str| {
    let json = serde_json::from_value::<Digest>(text.into()).ok();
    match text.parse::<Digest>() {
        Ok(digest) => {
            assert_eq!(digest.to_string(), text);
            assert_eq!(digest.text().as_str(), text);
            assert_eq!(
                Digest::from_bytes(digest.algorithm(), digest.bytes()),
                Some(digest)
            );
            assert_eq!(json, Some(digest));
        }
        Err(error) => {
            assert_eq!(json, None);
            assert!(error.to_string().chars().count() < 1200);
        }
    }
});
