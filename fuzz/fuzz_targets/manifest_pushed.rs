//! Pushed manifests: a manifest that is accepted is read the same way once it is stored.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{Digest, ManifestKind, ManifestView, media_type};

fuzz_target!(|bytes: &[u8]| {
    let headers = media_type::MANIFESTS
        .map(Some)
        .into_iter()
        .chain([None, Some("application/vnd.example")]);
    for content_type in headers {
        match ManifestView::parse_pushed(content_type, bytes) {
            Ok(view) => check(&view, content_type, bytes),
            Err(error) => assert!(error.to_string().chars().count() < 2000),
        }
    }
});

fn check(view: &ManifestView, content_type: Option<&str>, bytes: &[u8]) {
    assert!(media_type::is_valid(&view.media_type));
    assert_ne!(view.kind, ManifestKind::Schema1);
    assert!(content_type.is_none_or(|header| header.eq_ignore_ascii_case(&view.media_type)));
    assert!(view.manifests.is_empty() || view.kind == ManifestKind::Index);
    assert!(view.config.is_some() == (view.kind == ManifestKind::Image));
    for descriptor in view.blobs().chain(&view.manifests).chain(&view.subject) {
        assert!(!descriptor.media_type.is_empty() || !view.omissions.is_empty());
        assert!(i64::try_from(descriptor.size).is_ok());
        let json = serde_json::to_string(descriptor).expect("a descriptor has a JSON form");
        assert_eq!(
            &serde_json::from_str::<wharf_oci::Descriptor>(&json).expect("just written"),
            descriptor
        );
    }
    let entry = view.descriptor(Digest::sha256_of(bytes), bytes.len() as u64);
    assert_eq!(entry.artifact_type.as_deref(), view.effective_artifact_type());
    let stored = ManifestView::parse_stored(bytes).expect("what was accepted is readable");
    if view.kind == ManifestKind::Unknown && stored.kind != ManifestKind::Unknown {
        // Only the header named its type, which no store keeps.
        return;
    }
    // A stored manifest may have more references, never fewer.
    for (ours, theirs) in [
        (&view.layers, &stored.layers),
        (&view.manifests, &stored.manifests),
    ] {
        assert!(ours.iter().all(|descriptor| theirs.contains(descriptor)));
    }
    assert!(view.config.is_none() || view.config == stored.config);
    assert_eq!(
        (&stored.subject, &stored.annotations),
        (&view.subject, &view.annotations)
    );
    assert_eq!(stored.artifact_type, view.artifact_type);
    assert_eq!((&stored.media_type, stored.kind), (&view.media_type, view.kind));
}
