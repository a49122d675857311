//! Fields: of the query of a page, and of a form that was sent.

use std::fmt;

use http::HeaderMap;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_budget::{Permit, Share};
use wharf_http::RequestContext;
use wharf_oci::query_pairs;

use crate::{
    api::problem::{Kind, Problem, Result},
    incoming::{self, Bounds, Ungathered},
};

/// The most bytes of a form: the names of a thousand tags fit.
pub(super) const LARGEST_FORM: usize = 256 << 10;

/// The most fields of a form: a thousand tags, and what stands beside them.
pub(super) const MOST: usize = 1_100;

/// The most fields of an address that names no tags.
pub(super) const FEW: usize = 100;

/// What stands before the names of fields that are kept while a browser signs in.
pub(super) const KEPT: &str = "kept.";

/// What a form is charged beside its bytes, in multiples of these: its fields are copied, and written into the page that answers it.
const PARSED: usize = 7;

/// What is not encoded in a query. A slash and a colon may stand there, so names stay readable.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'*')
    .remove(b',');

/// Names and values, in the order in which they were sent. A name may come several times.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// No fields.
    pub(super) const NONE: &'static Self = &Self(Vec::new());

    /// The fields of a text such as `a=b&c=d`.
    pub(super) fn read(text: &str) -> Self {
        Self::read_some(text, MOST)
    }

    /// The first fields of a text, as many as `most`.
    pub(super) fn read_some(text: &str, most: usize) -> Self {
        let pairs = query_pairs(text).take(most);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value with this name; empty if there is none. Blanks around it are not meant.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.verbatim(name).trim()
    }

    /// The first value with this name as it was sent, for passwords.
    pub(crate) fn verbatim(&self, name: &str) -> &str {
        let mut pairs = self.iter();
        pairs
            .find(|(candidate, _)| *candidate == name)
            .map_or("", |(_, value)| value)
    }

    /// The value of a field, if it was filled in.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// Whether a box is ticked.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.some(name).is_some()
    }

    /// All values with this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(candidate, _)| candidate == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// All fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Those with these names; `kept.*` stands for all that begin with `kept.`.
    pub(super) fn only(&self, names: &[&str]) -> Self {
        let is_wanted = |name: &str| {
            names.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *wanted,
            })
        };
        let wanted = self.0.iter().filter(|(name, _)| is_wanted(name));
        Self(wanted.cloned().collect())
    }

    /// Those with names that begin with `start`, without that.
    pub(super) fn behind(&self, start: &str) -> Self {
        let found = self.0.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(start)?;
            Some((name.to_owned(), value.clone()))
        });
        Self(found.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields as a query.
    pub(super) fn to_query(&self) -> String {
        query_of(self.iter())
    }
}

/// Names alone: a value may be a password.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A query of these fields.
pub(crate) fn query_of<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in fields {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, QUERY));
        query.push('=');
        query.extend(utf8_percent_encode(value, QUERY));
    }
    query
}

/// Reads a form, charged to `share` as a whole once its first byte has come.
pub(super) async fn receive(
    context: &RequestContext,
    headers: &HeaderMap,
    share: &Share,
    body: &mut Incoming,
) -> Result<(Fields, Option<Permit>)> {
    let told = |why| match why {
        Ungathered::TooLarge => too_large(),
        Ungathered::Ended => Problem::new(Kind::BadBody, "the form ended early; send it again").and_close(),
        Ungathered::Slow => {
            let text = "the form did not come whole in time; send it again";
            Problem::new(Kind::TooSlow, text).and_close()
        }
        Ungathered::NoRoom(error) => error.into(),
    };
    incoming::check_size(body, LARGEST_FORM).map_err(told)?;
    if !incoming::is_of_type(headers, "application/x-www-form-urlencoded") {
        let text = "a form is sent as `application/x-www-form-urlencoded`";
        return Err(Problem::new(Kind::BadBody, text));
    }
    let bounds = Bounds {
        limit: LARGEST_FORM,
        parsed: PARSED,
        share,
    };
    let (whole, charge) = incoming::gather(context, bounds, body).await.map_err(told)?;
    let text = String::from_utf8(whole);
    let text = text.map_err(|_| Problem::new(Kind::BadBody, "the form is not UTF-8"))?;
    Ok((Fields::read(&text), charge))
}

fn too_large() -> Problem {
    let text = format!(
        "a form may have {LARGEST_FORM} bytes; choose less at once, or delete by a pattern or by rules of retention"
    );
    Problem::new(Kind::BodyTooLarge, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_their_order_and_written_the_same() {
        let fields = Fields::read("tag=a&tag=b%2Bc&name=+x+&empty=&name=y&p=%C3%A9");
        assert_eq!(fields.all("tag").collect::<Vec<_>>(), ["a", "b+c"]);
        assert_eq!(fields.get("name"), "x");
        assert_eq!(fields.verbatim("name"), " x ");
        assert_eq!(fields.some("empty"), None);
        assert!(fields.is_set("tag") && !fields.is_set("now"));
        assert_eq!(Fields::read(&fields.to_query()), fields);
    }

    #[test]
    fn only_fields_on_a_list_are_kept() {
        let fields = Fields::read("tag=a&password=secret&csrf=x");
        assert_eq!(fields.only(&["tag"]).to_query(), "tag=a");
        assert_eq!(fields.only(&["t*", "pass"]).to_query(), "tag=a");
        let sent = Fields::read("kept.tag=a&kept.tag=b&tag=c&to=%2F");
        assert_eq!(sent.behind("kept.").to_query(), "tag=a&tag=b");
    }

    #[test]
    fn a_value_can_end_no_other_field() {
        let hostile = "a&admin=1#x?y=\"<>%00\n";
        let query = query_of([("q", hostile)].into_iter());
        let fields = Fields::read(&query);
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("q", hostile)]);
        assert!(query.bytes().all(|byte| byte.is_ascii_graphic()), "{query}");
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let fields = Fields::read(&"a=b&".repeat(100_000));
        assert_eq!(fields.iter().count(), MOST);
    }
}
