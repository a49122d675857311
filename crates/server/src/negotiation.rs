//! What a client wants, by the headers of its request: a page, and how it is compressed.

use http::{HeaderMap, HeaderName, header};

/// A compression that an answer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

/// Whether the client wants a page, and not an answer for programs: it names HTML among what it takes, as every browser does.
/// Programs that take anything (`*/*`) get what they always got.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    elements(headers, &header::ACCEPT)
        .any(|(name, weight)| weight > 0.0 && name.eq_ignore_ascii_case("text/html"))
}

/// The best compression that the client takes; `with_brotli`: whether there is one of that kind.
pub(crate) fn encoding(headers: &HeaderMap, with_brotli: bool) -> Encoding {
    let takes = |wanted: &str| {
        let mut found =
            elements(headers, &header::ACCEPT_ENCODING).filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().is_some_and(|(_, weight)| weight > 0.0)
    };
    match (with_brotli && takes("br"), takes("gzip")) {
        (true, _) => Encoding::Brotli,
        (false, true) => Encoding::Gzip,
        (false, false) => Encoding::Identity,
    }
}

/// The elements of a list, each with its weight.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, f32)> {
    let values = headers.get_all(name).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_browser_gets_the_page_and_a_program_what_it_always_got() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("application/json, text/html;q=0", false),
            ("TEXT/HTML;q=0.1", true),
            ("text/htmlx", false),
            ("text/*", false),
        ] {
            assert_eq!(wants_page(&headers(header::ACCEPT, accept)), expected, "{accept}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn a_compression_is_one_that_the_client_takes() {
        for (accept, with_brotli, expected) in [
            ("gzip, deflate, br, zstd", true, Encoding::Brotli),
            ("gzip, deflate, br, zstd", false, Encoding::Gzip),
            ("br;q=0, gzip;q=0.1", true, Encoding::Gzip),
            ("gzip;q=0", true, Encoding::Identity),
            ("identity", true, Encoding::Identity),
            ("gzip;q=nonsense", true, Encoding::Identity),
            ("", true, Encoding::Identity),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, accept);
            assert_eq!(encoding(&headers, with_brotli), expected, "{accept}");
        }
    }
}
