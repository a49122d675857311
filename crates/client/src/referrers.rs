//! Lists of referrers: by the API of the registry, or at the tag that clients keep in its place.

use wharf_oci::{Descriptor, Digest, ManifestView, referrers_tag};

use crate::{Asked, Client, Error, Result, Target, lists};

impl Client {
    /// The manifests that refer to `subject`: by the API of the registry, or where it has none by the tag that clients keep in
    /// its place.
    ///
    /// # Errors
    /// When the list cannot be read, has more than 20,000 entries, or has no end. A registry without it has none.
    pub async fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Descriptor>> {
        let target = Target::pull(repository, &format!("referrers/{subject}"));
        let asked = Asked {
            client: self,
            target: &target,
        };
        match lists::referrers(&asked, &target.path).await? {
            Some(found) => Ok(found),
            None => self.fallback(repository, subject).await,
        }
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
    use wharf_oci::media_type;

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
