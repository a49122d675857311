//! `/repositories`, `/tags`, `/untagged`, `/image`, `/search`, `/usage` and `/traffic`: what is in the registry.

use std::fmt::Display;

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_oci::{Reference, ReferenceError};
use wharf_pattern::Pattern;
use wharf_registry::{
    Order, Place, PlaceError, RepositoriesWanted, Search, SearchIn, SearchPlace, TagsWanted, UntaggedWanted,
    retention::{repository_pattern, tag_pattern},
};

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
    users::LARGEST_PAGE,
};
use crate::{admin, repository_sight::PullSight, tag_rights::RightsToTags};

/// Number of entries on a page if the client names none.
const ENTRIES: usize = 100;

/// The longest text that is looked for, or pattern, in bytes.
const LONGEST: usize = 1000;

const TOO_LONG: &str = "it has more than 1,000 bytes; shorten it";

pub(crate) fn repositories(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let list = List::of(&call, repository_pattern).await?;
        let wanted = RepositoriesWanted {
            matching: list.matching.as_ref(),
            order: list.order,
            after: list.after.as_ref(),
            limit: list.limit,
        };
        let (registry, admin) = (&call.registry, &call.shared.admin);
        let sight = PullSight::of(&call.rights, call.shared.access.as_deref());
        Answer::large_json(admin::list_repositories(registry, &admin.pulls, wanted, &sight).await?).await
    }
    .boxed()
}

pub(crate) fn tags(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let name = call.query.repository();
        let name = name.ok_or_else(|| Problem::failed("a list of tags without a repository"))?;
        let list = List::of(&call, tag_pattern).await?;
        let wanted = TagsWanted {
            matching: list.matching.as_ref(),
            order: list.order,
            after: list.after.as_ref(),
            limit: list.limit,
        };
        let admin = &call.shared.admin;
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &name);
        let wanted = (wanted, call.query.get("with").is_some());
        Answer::large_json(admin::list_tags(&call.registry, &admin.pulls, &name, wanted, &rights).await?)
            .await
    }
    .boxed()
}

pub(crate) fn untagged(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let query = &call.query;
        let name = query.repository();
        let name = name.ok_or_else(|| Problem::failed("a list of manifests without a repository"))?;
        let after = match query.get("cursor") {
            Some(text) => Some(
                Order::PushedDescending
                    .place(text)
                    .map_err(|error| bad("cursor", &error))?,
            ),
            None => None,
        };
        let wanted = UntaggedWanted {
            after: after.as_ref(),
            limit: query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE),
        };
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &name);
        Answer::large_json(admin::list_untagged(&call.registry, &name, wanted, &rights).await?).await
    }
    .boxed()
}

pub(crate) fn image(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let name = call.query.repository();
        let name = name.ok_or_else(|| Problem::failed("an image without a repository"))?;
        let reference = call.query.required("reference");
        let reference: Reference = reference
            .parse()
            .map_err(|error: ReferenceError| bad("reference", &error))?;
        let admin = &call.shared.admin;
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &name);
        Answer::large_json(
            admin::show_image(&call.registry, &admin.pulls, (&name, &reference), &rights).await?,
        )
        .await
    }
    .boxed()
}

pub(crate) fn search(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let query = &call.query;
        let within = match query.get("in") {
            Some(text) => text.split(',').map(place_of_search).collect::<Result<Vec<_>>>()?,
            None => SearchIn::ALL.to_vec(),
        };
        let after: Option<SearchPlace> = match query.get("cursor") {
            Some(text) => Some(text.parse().map_err(|error: PlaceError| bad("cursor", &error))?),
            None => None,
        };
        let text = query.required("q");
        if text.len() > LONGEST {
            return Err(bad("q", &TOO_LONG));
        }
        let search = Search {
            text,
            within: &within,
            after: after.as_ref(),
            limit: query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE),
        };
        let sight = PullSight::of(&call.rights, call.shared.access.as_deref());
        Answer::large_json(admin::search(&call.registry, search, &sight).await?).await
    }
    .boxed()
}

pub(crate) fn usage(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let limit = call.query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE);
        Answer::large_json(admin::show_usage(&call.registry, limit).await?).await
    }
    .boxed()
}

pub(crate) fn traffic(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let pulls = &call.shared.admin.pulls;
        Answer::large_json(admin::show_traffic(&call.registry, pulls).await?).await
    }
    .boxed()
}

fn place_of_search(word: &str) -> Result<SearchIn> {
    let known = SearchIn::ALL.into_iter().find(|within| within.as_str() == word);
    known.ok_or_else(|| {
        let known = SearchIn::ALL.map(SearchIn::as_str).join("`, `");
        let text = format!("must be some of `{known}`, with commas between them");
        bad("in", &text)
    })
}

/// What the query says of the list that it wants.
struct List {
    matching: Option<Pattern>,
    order: Order,
    after: Option<Place>,
    limit: usize,
}

impl List {
    async fn of(call: &Call, pattern: fn(&str) -> std::result::Result<Pattern, String>) -> Result<Self> {
        let query = &call.query;
        let matching = match query.get("match") {
            Some(text) if text.len() > LONGEST => return Err(bad("match", &TOO_LONG)),
            Some(text) => {
                // A regular expression takes long to compile.
                let text = text.to_owned();
                let compiled = tokio::task::spawn_blocking(move || pattern(&text)).await;
                let compiled = compiled.map_err(Problem::failed)?;
                Some(compiled.map_err(|error| bad("match", &error))?)
            }
            None => None,
        };
        let sort = query.get("sort").unwrap_or_default();
        let mut orders = Order::ALL.into_iter();
        let order = orders.find(|order| order.as_str() == sort).unwrap_or_default();
        let after = match query.get("cursor") {
            Some(text) => Some(order.place(text).map_err(|error| bad("cursor", &error))?),
            None => None,
        };
        Ok(Self {
            matching,
            order,
            after,
            limit: query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE),
        })
    }
}

fn bad(parameter: &str, text: &dyn Display) -> Problem {
    Problem::new(Kind::BadQuery, format!("`{parameter}`: {text}")).with_field(parameter)
}
