//! `If-None-Match` and `If-Match`: content that the client already has, and pushes that create only, or move a tag only from
//! a certain manifest.

use http::{HeaderMap, HeaderName, header};
use wharf_oci::Digest;
use wharf_registry::{Matching, Precondition};

use crate::call::Call;

/// Whether the client already has the content of `digest` (RFC 9110, section 13.1.2; weak comparison).
pub(super) fn has_already(call: Call<'_>, digest: &str) -> bool {
    let values = call.parts.headers.get_all(header::IF_NONE_MATCH);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| names_entity(list, digest))
}

/// The condition of a push: `If-None-Match: *` creates only, `If-Match: "sha256:…"` moves a tag only from that manifest.
pub(super) fn of_push(call: Call<'_>) -> Precondition {
    let headers = &call.parts.headers;
    Precondition {
        if_match: matching(headers, &header::IF_MATCH, Comparison::Strong),
        if_none_match: matching(headers, &header::IF_NONE_MATCH, Comparison::Weak),
    }
}

/// How entity tags are compared (RFC 9110, section 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Weak entity tags, `W/"…"`, match nothing.
    Strong,
    /// Weak entity tags match like others.
    Weak,
}

/// The manifests that the lists of a header name; `None` without the header. What is no entity tag of a manifest, or cannot be
/// read, names none.
fn matching(headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> Option<Matching> {
    let mut digests = Vec::new();
    let mut has_list = false;
    for value in headers.get_all(name) {
        has_list = true;
        for tag in entity_tags(value.to_str().unwrap_or_default()) {
            if tag == "*" {
                return Some(Matching::Any);
            }
            let (opaque, is_weak) = match tag.strip_prefix("W/") {
                Some(opaque) => (opaque, true),
                None => (tag, false),
            };
            if !(is_weak && comparison == Comparison::Strong) {
                digests.extend(unquoted(opaque).parse::<Digest>().ok());
            }
        }
    }
    has_list.then_some(Matching::These(digests))
}

/// Whether a list of entity tags names `digest`.
fn names_entity(list: &str, digest: &str) -> bool {
    entity_tags(list).any(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || unquoted(opaque) == digest
    })
}

/// The members of a list. No entity tag that wharf gives has a comma in it.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|tag| !tag.is_empty())
}

/// The text of an entity tag. Unquoted ones count: registry:2 takes them.
fn unquoted(opaque: &str) -> &str {
    opaque.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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

    #[test]
    fn conditions_of_a_push_compare_as_rfc_9110_says() {
        let (one, two) = (Digest::sha256_of(b"1"), Digest::sha256_of(b"2"));
        let these = |digests: &[&Digest]| Some(Matching::These(digests.iter().copied().copied().collect()));
        let check = |lists: &[&str], strong: Option<Matching>, weak: Option<Matching>| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(header::IF_MATCH, HeaderValue::from_str(list).unwrap());
            }
            let read = |comparison| matching(&headers, &header::IF_MATCH, comparison);
            assert_eq!(read(Comparison::Strong), strong, "{lists:?}");
            assert_eq!(read(Comparison::Weak), weak, "{lists:?}");
        };
        check(&[], None, None);
        check(&["*"], Some(Matching::Any), Some(Matching::Any));
        check(&[&format!("\"{one}\"")], these(&[&one]), these(&[&one]));
        check(&[&one.to_string()], these(&[&one]), these(&[&one]));
        check(&[&format!("W/\"{one}\"")], these(&[]), these(&[&one]));
        check(
            &[&format!("\"{one}\", W/\"{two}\"")],
            these(&[&one]),
            these(&[&one, &two]),
        );
        check(
            &[&format!("\"{one}\""), &format!("\"x\" ,\"{two}\"")],
            these(&[&one, &two]),
            these(&[&one, &two]),
        );
        check(&["", "\"nonsense\""], these(&[]), these(&[]));
    }
}
