//! Query strings, and the pages of long lists: `n`, `last` and the `Link` to the next page.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::text::{Quoted, shortened};

/// The page of a list that a client requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PageRequest {
    /// Largest number of names on the page; `None` leaves it to the registry.
    pub n: Option<usize>,
    /// Name after which the page begins.
    pub last: Option<String>,
}

impl PageRequest {
    /// Reads `n` and `last` from a query string without its `?`. An empty value is as good as none; of several,
    /// the first counts; a number too large for a `usize` is as good as the largest.
    ///
    /// # Errors
    ///
    /// When `n` is not a whole number of at least 0.
    pub fn parse(query: &str) -> Result<Self, PageError> {
        let n = match query_value(query, "n").filter(|value| !value.is_empty()) {
            Some(value) => Some(number(&value)?),
            None => None,
        };
        let last = query_value(query, "last")
            .filter(|value| !value.is_empty())
            .map(Cow::into_owned);
        Ok(Self { n, last })
    }
}

fn number(value: &str) -> Result<usize, PageError> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(value) {
        return Ok(value.parse().unwrap_or(usize::MAX));
    }
    let value_shown = shortened(value);
    if value.strip_prefix('-').is_some_and(is_number) {
        return Err(PageError::Negative { value: value_shown });
    }
    Err(PageError::NotANumber { value: value_shown })
}

/// Why `n` is not a valid number of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The value is not a whole number.
    #[error("`n`, how many names a page has, must be a whole number such as `100`, not {}", Quoted(.value))]
    NotANumber {
        /// Text that the client sent.
        value: String,
    },
    /// The value is negative.
    #[error("`n`, how many names a page has, must not be negative, but is {}", Quoted(.value))]
    Negative {
        /// Text that the client sent.
        value: String,
    },
}

/// Characters that a query value must encode, as Go's `url.QueryEscape` does.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The `Link` header that leads to the page behind `last`: `</v2/_catalog?last=x&n=2>; rel="next"`. The target is
/// relative, and `last` comes before `n`, as in `registry:2`.
pub fn link(path: &str, last: &str, n: usize) -> String {
    format!(
        "<{path}?last={}&n={n}>; rel=\"next\"",
        utf8_percent_encode(last, QUERY_VALUE)
    )
}

/// The decoded pairs of a query string without its `?` (`application/x-www-form-urlencoded`), in order. Bytes that
/// are no UTF-8 become U+FFFD.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decoded(key), form_decoded(value))
    })
}

/// The first value of `key` in a query string without its `?`.
pub fn query_value<'a>(query: &'a str, key: &str) -> Option<Cow<'a, str>> {
    query_pairs(query)
        .find(|(candidate, _)| candidate == key)
        .map(|(_, value)| value)
}

fn form_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}
