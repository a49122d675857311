//! Lists of referrers: by the API of the registry, or at the tag that clients keep in its place. Bounded, whatever the registry
//! sends: a list that is longer than any is an error, and never a part of it.

use std::collections::HashSet;

use http::header;
use wharf_oci::{Descriptor, Digest, ManifestView, media_type, referrers_tag};

use crate::{Client, Error, MANIFEST_LIMIT, Result, Target, error::is_unsupported};

/// Bytes of one page; registries send lists in pages of 4 MiB at most, as they do manifests.
const PAGE_LIMIT: usize = 2 * MANIFEST_LIMIT;
/// Bytes of all pages of one list.
const LIST_LIMIT: usize = 32 << 20;
/// Requests for pages of one list.
const MOST_PAGES: usize = 1000;
/// Entries of one list.
const MOST_ENTRIES: usize = 20_000;

impl Client {
    /// The manifests that refer to `subject`: by the API of the registry, or where it has none by the tag that clients keep in
    /// its place.
    ///
    /// # Errors
    /// When the list cannot be read, has more than 20,000 entries, or has no end. A registry without it has none.
    pub async fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Descriptor>> {
        let target = Target::pull(repository, &format!("referrers/{subject}"));
        let mut next = Some(target.path.clone());
        let mut seen = HashSet::new();
        let mut found: Vec<Descriptor> = Vec::new();
        let mut bytes = 0;
        while let Some(page) = next.take() {
            let endless = |entries| Error::Endless {
                path: target.path.clone(),
                entries,
            };
            if seen.len() >= MOST_PAGES {
                return Err(endless(found.len()));
            }
            if !seen.insert(page.clone()) {
                return Err(Error::not_a_registry(
                    &page,
                    "the pages of its list form a circle",
                ));
            }
            let answer = match self.get(&target, &page, PAGE_LIMIT).await {
                Ok(answer) => answer,
                Err(Error::Refused { status, .. }) if is_unsupported(status) && seen.len() == 1 => {
                    return self.fallback(repository, subject).await;
                }
                Err(error) => return Err(error),
            };
            next = self.wire.next_page(&page, &answer)?;
            let is_index = answer
                .header(&header::CONTENT_TYPE)
                .is_some_and(|kind| media_type::essence(kind) == media_type::OCI_INDEX);
            match ManifestView::parse_stored(&answer.body) {
                Ok(view) if is_index || !view.manifests.is_empty() => found.extend(view.manifests),
                // What is no list at its first page is no list at all; later on it is one that breaks off.
                _ if seen.len() == 1 => return self.fallback(repository, subject).await,
                _ => return Err(Error::not_a_registry(&page, "it is no list of referrers")),
            }
            bytes += answer.body.len();
            if found.len() > MOST_ENTRIES || bytes > LIST_LIMIT {
                return Err(endless(found.len()));
            }
        }
        Ok(found)
    }

    /// The manifests that the fallback tag of `subject` lists.
    ///
    /// # Errors
    /// When the tag cannot be read, or is no list; without it the list is empty.
    pub async fn fallback(&self, repository: &str, subject: &Digest) -> Result<Vec<Descriptor>> {
        let target = Target::pull(repository, &format!("manifests/{}", referrers_tag(subject)));
        match self.at_fallback(&target).await? {
            Some(answer) => Ok(ManifestView::parse_stored(&answer.body)
                .map_err(|error| Error::not_a_registry(&target.path, &error.to_string()))?
                .manifests),
            None => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        Notices,
        fake::{Fake, Reply},
    };

    fn page(entries: usize, link: Option<&str>) -> Reply {
        let entry =
            json!({"mediaType": media_type::OCI_MANIFEST, "size": 1, "digest": Digest::sha256_of(b"x")});
        let list = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": vec![entry; entries]});
        let page = Reply::json(200, &list.to_string()).with("Content-Type", media_type::OCI_INDEX);
        match link {
            Some(link) => page.with("Link", &format!("<{link}>; rel=\"next\"")),
            None => page,
        }
    }

    async fn referrers(fake: &Fake) -> Result<usize> {
        let client = fake.client(Notices::default()).await;
        let found = client.referrers("app", &Digest::sha256_of(b"")).await;
        found.map(|found| found.len())
    }

    #[tokio::test]
    async fn a_list_is_whole_or_an_error() {
        let two = Fake::start(|asked, _| match asked.path.contains("?last") {
            true => page(2, None),
            false => page(1, Some("?last=1")),
        });
        assert_eq!(referrers(&two).await.unwrap(), 3);
        let circle = Fake::start(|_, _| page(1, Some("?last=1")));
        let error = referrers(&circle).await.unwrap_err().to_string();
        assert!(error.contains("form a circle"), "{error}");
        let endless = Fake::start(|asked, _| page(5000, Some(&format!("{}x", asked.path))));
        let error = referrers(&endless).await.unwrap_err();
        assert!(matches!(error, Error::Endless { entries: 25_000, .. }), "{error}");
        let cut = Fake::start(|asked, _| match asked.path.contains("?last") {
            true => Reply::json(404, "{}"),
            false => page(1, Some("?last=1")),
        });
        assert!(referrers(&cut).await.is_err(), "part of a list is none");
        let without = Fake::start(|_, _| Reply::json(404, "{}"));
        assert_eq!(referrers(&without).await.unwrap(), 0);
    }
}
