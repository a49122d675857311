//! Stored manifests: every JSON object is readable, and its media type fits a header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{ManifestKind, ManifestView, media_type};

fuzz_target!(|bytes: &[u8]| {
    match ManifestView::parse_stored(bytes) {
        Ok(view) => {
            assert!(media_type::is_valid(&view.media_type));
            assert_eq!(view.kind, ManifestKind::of(&view.media_type));
        }
        Err(error) => {
            assert!(error.to_string().chars().count() < 2000);
            assert!(!serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|value| value.is_object()));
        }
    }
});
