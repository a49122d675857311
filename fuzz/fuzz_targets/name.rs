//! Names, tags, upload ids and references: a valid text is shown unchanged, and is safe in a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_oci::{Reference, RepoName, Tag, UploadId};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<RepoName>() {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= RepoName::MAX_LEN);
        assert!(text.split('/').all(is_safe));
        assert!(!text.contains(|character: char| character.is_uppercase()));
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.as_str(), text);
        assert!(text.len() <= Tag::MAX_LEN && is_safe(text));
    }
    if let Ok(id) = text.parse::<UploadId>() {
        assert_eq!(id.as_str(), text);
        assert!(text.len() <= UploadId::MAX_LEN && is_safe(text));
    }
    match text.parse::<Reference>() {
        Ok(reference) => assert_eq!(reference.to_string(), text),
        Err(error) => assert!(error.to_string().chars().count() < 1200),
    }
});

/// Whether this can be one component of a path and nothing more.
fn is_safe(component: &str) -> bool {
    !matches!(component, "" | "." | "..")
        && component
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'%' | b':'))
}
