//! HTTP headers in the configuration: names with one value or several.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    keys::{Key, Pairs},
    section::Section,
};

/// The headers at `key`. `is_taken` may refuse a name, and then reports why.
pub(super) fn read(
    section: &Section<'_>,
    key: Key<Pairs>,
    is_taken: impl Fn(&HeaderName) -> bool,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in section.get(key) {
        let Ok(header) = name.parse::<HeaderName>() else {
            let text = format!("has `{}`, which is not the name of a header", name.escape_debug());
            section.problem(key, &text);
            continue;
        };
        if !is_taken(&header) {
            continue;
        }
        for value in values {
            match HeaderValue::try_from(value) {
                Ok(value) => _ = headers.append(header.clone(), value),
                Err(_) => section.problem(key, &format!("has a value of `{header}` that no header can have")),
            }
        }
    }
    headers
}

/// Headers that wharf sends to other servers: they may hold a password, and are never shown.
pub(super) fn read_secret(
    section: &Section<'_>,
    key: Key<Pairs>,
    is_taken: impl Fn(&HeaderName) -> bool,
) -> HeaderMap {
    let mut headers = read(section, key, is_taken);
    for value in headers.values_mut() {
        value.set_sensitive(true);
    }
    headers
}
