//! Lists of a mirror: the tags of a repository and what refers to a manifest, by the upstream's word.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use wharf_budget::Permit;
use wharf_client::upstream::passing_on;
use wharf_oci::{Digest, PageRequest};
use wharf_registry::NamePage;

use crate::{
    error::{Error, Failure, Result},
    known::Known,
    mirror::Mirrored,
};

/// How long a request waits for room for a list.
const ROOM: Duration = Duration::from_secs(10);

/// How long a list is remembered at least for its further pages, which are asked for one after the other.
const SHORTEST: Duration = Duration::from_secs(10);

impl Mirrored {
    /// The tags after `page.last`, `page.n` of them or all, in ascending order; and why they are those that are stored here, if
    /// the upstream fails.
    ///
    /// # Errors
    ///
    /// [`NameUnknown`](wharf_registry::Error::NameUnknown) when neither the upstream nor this registry has the repository;
    /// [`Error::Upstream`] when the upstream fails and nothing is stored; errors of the store.
    pub async fn tags(&self, page: &PageRequest) -> Result<(NamePage, Option<String>)> {
        let failure = match passing_on(self.via.clone(), self.listed(page)).await {
            Ok(Some(tags)) => return Ok((cut(&tags, page), None)),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        match (self.mirror.registry.tags(&self.name, page).await, failure) {
            (Ok(stored), failure) => Ok((stored, failure.map(|failure| failure.to_string()))),
            (Err(wharf_registry::Error::NameUnknown { .. }), Some(failure)) => Err(failure),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// All tags of the upstream; `None`: it does not have the repository, or is not asked.
    async fn listed(&self, page: &PageRequest) -> Result<Option<Arc<[Box<str>]>>> {
        if !self.is_asked() {
            return Ok(None);
        }
        let lists = &self.mirror.lists;
        let fresh = match page.last {
            Some(_) => self.mirror.options.fresh.max(SHORTEST),
            None => self.mirror.options.fresh,
        };
        let arrived = Instant::now();
        if let Some(tags) = lists.find(&self.name, fresh, None) {
            return Ok(Some(tags));
        }
        // A request that waits for this one may have the turn.
        if self.is_loop {
            return Err(Failure::Loop.into());
        }
        let _turn = self.mirror.known.turn(&Known::key_of_tags(&self.name)).await;
        if let Some(tags) = lists.find(&self.name, fresh, Some(arrived)) {
            return Ok(Some(tags));
        }
        let _room = self.room().await?;
        let asked = Instant::now();
        let tags = self.asks()?.tags(&self.remote).await;
        let Some(tags) = self.mirror.said(tags)? else {
            return Ok(None);
        };
        let mut tags: Vec<Box<str>> = tags.into_iter().map(Into::into).collect();
        tags.sort_unstable();
        tags.dedup();
        let tags = tags.into();
        lists.note(&self.name, asked, &tags);
        Ok(Some(tags))
    }

    /// The manifests that refer to `digest`, as an OCI index of the upstream; `None`: what is stored here decides.
    ///
    /// # Errors
    ///
    /// None but those of the store: an upstream that fails is no reason to refuse what is stored.
    pub async fn referrers(&self, digest: &Digest) -> Result<Option<Bytes>> {
        if !self.is_asked() {
            return Ok(None);
        }
        let _room = match self.is_loop {
            true => None,
            false => Some(self.room().await?),
        };
        let asked = match self.asks() {
            Ok(upstream) => {
                let referrers = upstream.referrers(&self.remote, digest);
                self.mirror.said(passing_on(self.via.clone(), referrers).await)
            }
            Err(failure) => Err(failure),
        };
        match asked.map_err(Error::from) {
            Ok(index) => Ok(index),
            Err(Error::Upstream(failure)) => {
                tracing::debug!(%failure, "the upstream of a mirror does not tell referrers");
                Ok(None)
            }
            Err(error @ Error::Registry(_)) => Err(error),
        }
    }
}

impl Mirrored {
    /// Room for a list of the upstream, which may have some MiB.
    async fn room(&self) -> Result<Permit> {
        let lists = &self.mirror.registry.budget().lists;
        let room = lists.wait(1, ROOM).await;
        room.map_err(|exhausted| wharf_registry::Error::from(exhausted).into())
    }
}

/// A page of `tags`, which are in ascending order.
fn cut(tags: &[Box<str>], page: &PageRequest) -> NamePage {
    let last = page.last.as_deref().unwrap_or_default();
    let begin = tags.partition_point(|tag| **tag <= *last);
    let rest = &tags[begin..];
    let count = page.n.unwrap_or(rest.len()).min(rest.len());
    NamePage {
        names: rest[..count].to_vec(),
        more: count < rest.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let tags: Vec<Box<str>> = ["1", "2", "3"].map(Into::into).to_vec();
        let page = |n, last: Option<&str>| {
            let page = cut(
                &tags,
                &PageRequest {
                    n,
                    last: last.map(Into::into),
                },
            );
            (page.names.join(","), page.more)
        };
        assert_eq!(page(None, None), ("1,2,3".to_owned(), false));
        assert_eq!(page(Some(2), None), ("1,2".to_owned(), true));
        assert_eq!(page(Some(2), Some("2")), ("3".to_owned(), false));
        assert_eq!(page(Some(0), None), (String::new(), true));
        assert_eq!(page(None, Some("4")), (String::new(), false));
    }
}
