//! Whether reads and lists have what was written before, lists are sorted, and removals mind conditions.

use futures_util::future::try_join_all;
use http::Method;

use super::{
    super::answers::{self, Listing},
    conditions::{WRONG, e_tag},
    tries::{Operation, Tries, Try},
};

/// Content of an object, and its MD5.
pub(super) const CONTENT: &str = "wharf\n";
pub(super) const CONTENT_MD5: &str = "942b2e82c058757e7b57450dcd698af9";

/// Names in the order of their bytes, which is not that of directories.
const SORTED: [&str; 4] = ["list/1-a/x", "list/1.0/x", "list/1/x", "list/10/x"];

/// How often an object is replaced and read.
const ROUNDS: usize = 3;

/// What was found; `None`: the policy does not allow to find out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contents {
    pub(super) e_tag_is_md5: bool,
    pub(super) is_consistent: Option<bool>,
    pub(super) sorts_lists: Option<bool>,
    pub(super) delete_if_match: bool,
}

impl Contents {
    pub(super) async fn probe(tries: &Tries) -> Result<Self, String> {
        let mut found = Self::default();
        let key = tries.key("content");
        let Some(put) = tries.put(&key, CONTENT).await? else {
            return Ok(found);
        };
        found.e_tag_is_md5 = e_tag(&put).is_some_and(|e_tag| e_tag.trim_matches('"') == CONTENT_MD5);
        let reads = reads(tries, &key).await?;
        let lists = lists(tries, &mut found.sorts_lists).await?;
        found.is_consistent = match (reads, lists) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (reads, lists) => reads.or(lists),
        };
        found.delete_if_match = deletes(tries, &key).await?;
        Ok(found)
    }
}

/// Whether a read has what the last put wrote.
async fn reads(tries: &Tries, key: &str) -> Result<Option<bool>, String> {
    for round in 0..ROUNDS {
        let content = format!("content {round}");
        tries.put(key, content.clone()).await?;
        let Some(got) = tries.get(key).await? else {
            return Ok(None);
        };
        if !got.status.is_success() || got.body != content {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}

/// Whether a list has what the last put wrote, and not what was removed.
async fn lists(tries: &Tries, sorts_lists: &mut Option<bool>) -> Result<Option<bool>, String> {
    let sorted: Vec<String> = SORTED.iter().map(|name| tries.key(name)).collect();
    try_join_all(sorted.iter().map(|key| tries.put(key, "x"))).await?;
    let Some(mut listed) = list(tries, None).await? else {
        return Ok(None);
    };
    let Some(rest) = list(tries, Some(&sorted[1])).await? else {
        return Ok(None);
    };
    let is_after = rest.iter().all(|key| *key > sorted[1]);
    *sorts_lists = Some(listed.is_sorted() && rest.is_sorted() && is_after);
    listed.sort_unstable();
    if listed != sorted {
        return Ok(Some(false));
    }
    if tries.delete(&sorted[1]).await?.is_none() {
        return Ok(Some(true));
    }
    let listed = list(tries, None).await?.unwrap_or_default();
    let read = tries.get(&sorted[1]).await?;
    let is_gone = read.is_none_or(|read| !read.status.is_success());
    Ok(Some(is_gone && !listed.contains(&sorted[1])))
}

async fn list(tries: &Tries, after: Option<&str>) -> Result<Option<Vec<String>>, String> {
    let prefix = tries.key("list/");
    let mut query = vec![("list-type", "2"), ("max-keys", "1000"), ("prefix", &prefix)];
    if let Some(after) = after {
        query.push(("start-after", after));
    }
    let tried = Try {
        query: &query,
        ..Try::default()
    };
    let Some(answer) = tries.allowed(Operation::List, &tried).await? else {
        return Ok(None);
    };
    let listing: Listing = answers::read(&answer.body).map_err(|error| error.to_string())?;
    Ok(Some(listing.keys()))
}

/// Whether a removal under a condition that does not hold is refused, and removes nothing.
async fn deletes(tries: &Tries, key: &str) -> Result<bool, String> {
    let tried = Try {
        method: Method::DELETE,
        key,
        header: Some(("if-match", WRONG)),
        ..Try::default()
    };
    let Some(answer) = tries.allowed(Operation::Delete, &tried).await? else {
        return Ok(false);
    };
    let read = tries.get(key).await?;
    Ok(!answer.status.is_success() && read.is_some_and(|read| read.status.is_success()))
}
