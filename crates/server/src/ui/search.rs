//! The search for images.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{Choice, Digest, Line, Match, Search, SearchHit};
use wharf_registry::SearchIn;

use super::{answer::Answer, call::Call, failure::Result, lists::foot};
use crate::admin::wire;

/// What was found, with the places in which it was.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let text = call.query.get("q");
        let chosen: Vec<&str> = call.query.all("in").collect();
        let is_chosen = |within: &SearchIn| chosen.is_empty() || chosen.contains(&within.as_str());
        let within: Vec<&str> = SearchIn::ALL
            .iter()
            .filter(|place| is_chosen(place))
            .map(|place| place.as_str())
            .collect();
        let mut page = call.page();
        text.clone_into(&mut page.query);
        let found = match text.is_empty() {
            true => None,
            false => {
                let within = within.join(",");
                let query = [
                    ("q", text),
                    ("in", within.as_str()),
                    ("cursor", call.query.get("cursor")),
                ];
                Some(call.ask::<wire::SearchPage>("search", &query).await?)
            }
        };
        let places = SearchIn::ALL.iter().map(|place| Choice {
            value: place.as_str().to_owned(),
            chosen: is_chosen(place),
        });
        let mut pages = foot(call, found.as_ref().and_then(|found| found.next.as_deref()));
        if pages.more() {
            pages.shown = Some(page.t("search.more"));
        }
        let incomplete = found.as_ref().map_or(0, |found| found.incomplete);
        let hits = found.map(|found| found.hits).unwrap_or_default();
        Ok(Answer::page(Search {
            q: text.to_owned(),
            places: places.collect(),
            hits: hits.into_iter().map(|found| hit(call, text, found)).collect(),
            pages,
            incomplete: match incomplete {
                0 => None,
                count => Some(page.t("search.incomplete").n(count)),
            },
            page,
        }))
    }
    .boxed()
}

fn hit(call: Call<'_>, text: &str, found: wire::SearchHit) -> SearchHit {
    let (href, name) = match found.tag {
        Some(tag) => {
            let name = format!("{}:{tag}", found.repository);
            (call.url(&format!("/image/{name}")), name)
        }
        None => (call.url(&format!("/repo/{}", found.repository)), found.repository),
    };
    SearchHit {
        href,
        name,
        digest: found.digest.map(Digest::from),
        matches: found
            .matches
            .into_iter()
            .map(|place| matched(text, place))
            .collect(),
    }
}

/// The place with the text that was found in it, whatever letters it has there.
fn matched(text: &str, place: wire::SearchMatch) -> Match {
    let (start, end) = find(&place.text, text).unwrap_or((place.text.len(), place.text.len()));
    Match {
        within: place.within,
        before: Line::from(&place.text[..start]),
        hit: Line::from(&place.text[start..end]),
        after: Line::from(&place.text[end..]),
    }
}

/// Where `part` is in `text`; letter case of ASCII does not matter.
fn find(text: &str, part: &str) -> Option<(usize, usize)> {
    let mut starts = text.char_indices().map(|(start, _)| start);
    let start = starts.find(|start| {
        let here = text.get(*start..start + part.len());
        here.is_some_and(|here| here.eq_ignore_ascii_case(part))
    })?;
    Some((start, start + part.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_found_in_its_place_whatever_its_case() {
        assert_eq!(find("com.example.team=Blue", "blue"), Some((17, 21)));
        assert_eq!(find("ääb", "B"), Some((4, 5)));
        assert_eq!(find("ä", "a"), None);
        assert_eq!(find("ab", "abc"), None);
    }
}
