//! Headers, as several sections have them: names with one value or several.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::raw::Section;

/// The headers below `headers`. `is_taken` may refuse a name, and says why by itself.
pub(super) fn read(section: &Section<'_>, is_taken: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in section.pairs("headers") {
        let Ok(header) = name.parse::<HeaderName>() else {
            let text = format!("has `{}`, which is not the name of a header", name.escape_debug());
            section.problem("headers", &text);
            continue;
        };
        if !is_taken(&header) {
            continue;
        }
        for value in values {
            match HeaderValue::try_from(value) {
                Ok(value) => _ = headers.append(header.clone(), value),
                Err(_) => section.problem(
                    "headers",
                    &format!("has a value of `{header}` that no header can have"),
                ),
            }
        }
    }
    headers
}

/// The same of headers that we send to others: they may hold a password, and are shown nowhere.
pub(super) fn read_secret(section: &Section<'_>, is_taken: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut headers = read(section, is_taken);
    for value in headers.values_mut() {
        value.set_sensitive(true);
    }
    headers
}
