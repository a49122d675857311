//! Lists of a registry, read page by page: names, and referrers. Bounded, whatever the registry sends: a list that is longer
//! than any is an error, and never a part of it.

use std::collections::HashSet;

use http::header;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_oci::{Descriptor, ManifestView, media_type};

use crate::{
    Error, Result,
    error::is_unsupported,
    names::{Names, Rejected},
    wire::Answer,
};

/// Bytes of one page of names: some registries send all tags of a repository at once.
pub(crate) const PAGE_LIMIT: usize = 16 << 20;
/// Names that are asked for at a time.
pub(crate) const PAGE: usize = 1000;
/// Bytes of one page of referrers; registries send lists in pages of 4 MiB at most, as they do manifests.
const REFERRERS_PAGE_LIMIT: usize = 8 << 20;
/// Bytes of all pages of one list of referrers.
const LIST_LIMIT: usize = 32 << 20;
/// Requests for pages of one list of referrers.
const MOST_PAGES: usize = 1000;
/// Entries of one list of referrers.
const MOST_ENTRIES: usize = 20_000;

/// A list that is asked for page by page.
pub(crate) trait Pages: Sync {
    /// The page at `path`, of at most `limit` bytes.
    ///
    /// # Errors
    /// When it does not come, or its status is not one of success.
    fn page(&self, path: &str, limit: usize) -> impl Future<Output = Result<Answer>> + Send;

    /// The path of the page after `page`, by the links of its answer.
    ///
    /// # Errors
    /// When a link leads to another server.
    fn next_page(&self, page: &str, answer: &Answer) -> Result<Option<String>>;
}

/// The names in `member` of the list at `path`, of at most so many pages.
pub(crate) async fn names(
    list: &impl Pages,
    path: &str,
    member: &str,
    most_pages: usize,
) -> Result<Vec<String>> {
    let mut names = Names::default();
    let mut next = Some(format!("{path}?n={PAGE}"));
    // A page that was guessed: a full one named no next page.
    let mut is_guess = false;
    let mut count = 0;
    while let Some(page) = next
        && count < most_pages
    {
        count += 1;
        let before = names.len();
        let rejected = |rejected: Rejected, entries| match rejected {
            Rejected::NotJson => Error::not_a_registry(&page, "no JSON with a list of names"),
            Rejected::Full => endless(path, entries),
        };
        let is_new = names.may_ask_for(&page).map_err(|why| rejected(why, before))?;
        if !is_new {
            return Err(circle(&page));
        }
        let answer = match list.page(&page, PAGE_LIMIT).await {
            // A registry without such pages has sent all; one that is busy or fails may have more.
            Err(Error::Refused { status, .. }) if is_guess && is_unsupported(status) => break,
            answer => answer?,
        };
        let taken = names.take(&answer.body, member);
        taken.map_err(|why| rejected(why, names.len()))?;
        // A page without names ends the list, whatever it links to.
        if names.len() == before {
            break;
        }
        // A registry that does not know `last` has sent names that came before.
        if is_guess && names.repeats_from(before) {
            names.truncate(before);
            break;
        }
        next = list.next_page(&page, &answer)?;
        is_guess = next.is_none() && names.len() - before == PAGE;
        if is_guess {
            next = names.last().map(|last| {
                let last = utf8_percent_encode(last, NON_ALPHANUMERIC);
                format!("{path}?n={PAGE}&last={last}")
            });
        }
    }
    Ok(names.into_vec())
}

/// The entries of the list of referrers at `path`; `None`: the registry keeps no such lists.
pub(crate) async fn referrers(list: &impl Pages, path: &str) -> Result<Option<Vec<Descriptor>>> {
    let mut next = Some(path.to_owned());
    let mut seen = HashSet::new();
    let mut found: Vec<Descriptor> = Vec::new();
    let mut bytes = 0;
    while let Some(page) = next.take() {
        if seen.len() >= MOST_PAGES {
            return Err(endless(path, found.len()));
        }
        if !seen.insert(page.clone()) {
            return Err(circle(&page));
        }
        let answer = match list.page(&page, REFERRERS_PAGE_LIMIT).await {
            Ok(answer) => answer,
            Err(Error::Refused { status, .. }) if is_unsupported(status) && seen.len() == 1 => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        next = list.next_page(&page, &answer)?;
        let is_index = answer
            .header(&header::CONTENT_TYPE)
            .is_some_and(|kind| media_type::essence(kind) == media_type::OCI_INDEX);
        match ManifestView::parse_stored(&answer.body) {
            Ok(view) if is_index || !view.manifests.is_empty() => found.extend(view.manifests),
            // What is no list at its first page is no list at all; later on it is one that breaks off.
            _ if seen.len() == 1 => return Ok(None),
            _ => return Err(Error::not_a_registry(&page, "it is no list of referrers")),
        }
        bytes += answer.body.len();
        if found.len() > MOST_ENTRIES || bytes > LIST_LIMIT {
            return Err(endless(path, found.len()));
        }
    }
    Ok(Some(found))
}

fn endless(path: &str, entries: usize) -> Error {
    Error::Endless {
        path: path.to_owned(),
        entries,
    }
}

fn circle(page: &str) -> Error {
    Error::not_a_registry(page, "the pages of its list form a circle")
}
