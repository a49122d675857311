//! `/tags`: the history of a tag, and the way back.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_oci::{Digest, RepoName, Tag};

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};
use crate::admin::{restore_tag, tag_history, wire};

/// Number of entries if the client names none.
const ENTRIES: usize = 100;

pub(crate) fn history(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (name, tag) = image(&call)?;
        let limit = call.query.number("limit").unwrap_or(ENTRIES);
        let history = tag_history(&call.registry, &name, &tag, limit).await?;
        let answer = Answer::json(&history)?;
        Ok(match history.entries.iter().find(|entry| entry.current) {
            Some(current) => answer.with_version(&current.digest),
            None => answer,
        })
    }
    .boxed()
}

pub(crate) fn restore(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (name, tag) = image(&call)?;
        let wire::TagTarget { digest } = call.json()?;
        let digest: Digest = digest.parse().map_err(|error| {
            Problem::new(Kind::BadBody, format!("`digest`: {error}")).with_field("digest")
        })?;
        let only_from = match call.expected_version()? {
            Some(version) => Some(version.as_str().parse().map_err(|error| {
                let text = format!("`If-Match` takes the digest at which the tag points: {error}");
                Problem::new(Kind::BadHeader, text)
            })?),
            None => None,
        };
        let image = (&name, &tag, &digest);
        let creates_only = call.rights.creates_only();
        let restored = restore_tag(&call.registry, &call.origin, image, only_from, creates_only).await?;
        Ok(Answer::json(&restored)?.with_version(&restored.digest))
    }
    .boxed()
}

/// The repository and the tag that the query names: both are required, and were checked.
fn image(call: &Call) -> Result<(RepoName, Tag)> {
    let image = call.query.repository().zip(call.query.tag());
    image.ok_or_else(|| Problem::failed("an operation on a tag without a tag"))
}
