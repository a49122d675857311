//! `If-None-Match`: content that the client already has.

use http::header;

use crate::call::Call;

/// Whether the client already has the content of `digest` (RFC 9110, section 13.1.2; weak comparison).
pub(super) fn has_already(call: Call<'_>, digest: &str) -> bool {
    let values = call.parts.headers.get_all(header::IF_NONE_MATCH);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| names_entity(list, digest))
}

/// Whether a list of entity tags names `digest`. Unquoted ones count: registry:2 takes them.
fn names_entity(list: &str, digest: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || opaque.trim_matches('"') == digest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_read_in_every_spelling() {
        for list in [
            "sha256:a",
            "\"sha256:a\"",
            "W/\"sha256:a\"",
            "*",
            "\"x\", \"sha256:a\"",
            "x,sha256:a",
        ] {
            assert!(names_entity(list, "sha256:a"), "{list}");
        }
        for list in ["", "\"\"", "sha256:b", "\"sha256:ab\"", "\"sha256:b\", \"c\""] {
            assert!(!names_entity(list, "sha256:a"), "{list}");
        }
    }
}
