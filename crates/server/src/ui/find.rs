//! What the search field of the bar shows while one types.

use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Serialize;

use super::{answer::Answer, call::Call, failure::Result};
use crate::admin::wire;

/// The shortest text that is looked for, in characters.
const SHORTEST: usize = 2;

/// The most hits that are shown.
const HITS: usize = 8;

#[derive(Debug, Serialize)]
struct Found {
    hits: Vec<Hit>,
}

#[derive(Debug, Serialize)]
struct Hit {
    name: String,
    /// Where the text was found, if it is not the name.
    text: String,
    href: String,
}

/// The first hits, in the order of the service.
pub(super) fn find(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let text = call.query.get("q");
        if text.chars().count() < SHORTEST {
            return Answer::json(&Found { hits: Vec::new() });
        }
        let limit = HITS.to_string();
        let query = [
            ("q", text),
            ("in", "name,label,digest"),
            ("limit", limit.as_str()),
        ];
        let found: wire::SearchPage = call.ask("search", &query).await?;
        let hits = found.hits.into_iter().take(HITS).map(|hit| Hit::of(call, hit));
        Answer::json(&Found { hits: hits.collect() })
    }
    .boxed()
}

impl Hit {
    fn of(call: Call<'_>, hit: wire::SearchHit) -> Self {
        let place = hit.matches.into_iter().find(|place| place.within != "name");
        let (name, href) = match hit.tag {
            Some(tag) => {
                let name = format!("{}:{tag}", hit.repository);
                let href = call.url(&format!("/image/{name}"));
                (name, href)
            }
            None => {
                let href = call.url(&format!("/repo/{}", hit.repository));
                (hit.repository, href)
            }
        };
        Self {
            name,
            text: place.map(|place| place.text).unwrap_or_default(),
            href,
        }
    }
}
