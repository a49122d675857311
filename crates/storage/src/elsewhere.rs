//! Where clients read blobs: at the store itself, or at a server that an operator has put in front of it.

mod cloudfront;

use std::{sync::Arc, time::Duration};

pub use self::cloudfront::{CloudFront, KeyProblem};

use crate::{Error, ErrorKind, Key, Result, Storage};

/// The addresses at which clients read blobs.
///
/// Without a [`Detour`] these are signed URLs of the store. Of several detours the last that has an address of its own
/// counts, and those after it change that address, as a chain of middleware does in registry:3.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    detours: Vec<Detour>,
}

/// What clients are told in place of the address of the store.
#[derive(Debug, Clone)]
pub enum Detour {
    /// The key below this URL. The server there decides which clients may read.
    Redirect {
        /// With scheme and host, and without a slash at its end
        base: String,
    },
    /// Another form of the signed URL of the store.
    Rewrite(Rewrite),
    /// A signed URL of a distribution of CloudFront.
    CloudFront(Arc<CloudFront>),
}

/// A change of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// Scheme in place of that of the store
    pub scheme: Option<String>,
    /// Host, and port if there is one, in place of that of the store
    pub host: Option<String>,
    /// What is taken away from the beginning of the path
    pub trim: Option<String>,
}

impl Elsewhere {
    /// Sends clients through `detours`.
    pub fn new(detours: Vec<Detour>) -> Self {
        Self { detours }
    }

    /// A URL under which a client can read the object at `key` for `ttl`, without credentials. `None` when there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Objects::location`](crate::Objects::location), and a private key that cannot sign.
    pub async fn location(&self, storage: &dyn Storage, key: &Key, ttl: Duration) -> Result<Option<String>> {
        let is_own = |detour: &Detour| !matches!(detour, Detour::Rewrite(_));
        let own = self.detours.iter().rposition(is_own);
        let (mut url, changes) = match own {
            None => match storage.location(key, ttl).await? {
                None => return Ok(None),
                Some(url) => (url, &self.detours[..]),
            },
            Some(index) => (
                self.detours[index].address(key).await?,
                &self.detours[index + 1..],
            ),
        };
        for change in changes {
            if let Detour::Rewrite(rewrite) = change {
                url = rewrite.of(&url);
            }
        }
        Ok(Some(url))
    }
}

impl Detour {
    /// Its own address of the object; a [`Rewrite`] has none.
    async fn address(&self, key: &Key) -> Result<String> {
        match self {
            Self::Redirect { base } => Ok(format!("{base}/{key}")),
            Self::CloudFront(cloudfront) => {
                let (cloudfront, of) = (Arc::clone(cloudfront), key.clone());
                // A signature takes a millisecond or two.
                let signed = tokio::task::spawn_blocking(move || cloudfront.sign(&of)).await;
                let failed = |reason: String| {
                    Error::with_source(ErrorKind::Other, format!("sign a URL for `{key}`"), reason)
                };
                match signed {
                    Ok(Ok(url)) => Ok(url),
                    Ok(Err(reason)) => Err(failed(reason)),
                    Err(error) => Err(failed(error.to_string())),
                }
            }
            Self::Rewrite(_) => Ok(String::new()),
        }
    }
}

impl Rewrite {
    /// The changed URL. A part of it that is not changed stays byte for byte, because it is signed.
    fn of(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(path_at);
        let trimmed = match &self.trim {
            Some(trim) => path.strip_prefix(trim.as_str()).unwrap_or(path),
            None => path,
        };
        let slash = if trimmed.starts_with('/') { "" } else { "/" };
        let scheme = self.scheme.as_deref().unwrap_or(scheme);
        let host = self.host.as_deref().unwrap_or(host);
        format!("{scheme}://{host}{slash}{trimmed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectStorage;

    const MINUTE: Duration = Duration::from_secs(60);

    fn redirect(base: &str) -> Detour {
        Detour::Redirect {
            base: base.to_owned(),
        }
    }

    fn rewrite(scheme: &str, host: &str, trim: &str) -> Rewrite {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Rewrite {
            scheme: text(scheme),
            host: text(host),
            trim: text(trim),
        }
    }

    async fn location(detours: Vec<Detour>) -> Option<String> {
        let storage = ObjectStorage::in_memory();
        let key = Key::new("docker/registry/v2/blobs/sha256/ab/abc/data").unwrap();
        let elsewhere = Elsewhere::new(detours);
        elsewhere.location(&storage, &key, MINUTE).await.unwrap()
    }

    #[tokio::test]
    async fn without_a_detour_the_store_is_asked_and_a_rewrite_alone_has_no_address() {
        assert_eq!(location(Vec::new()).await, None);
        let rewrite = Detour::Rewrite(rewrite("https", "h", ""));
        assert_eq!(location(vec![rewrite]).await, None);
    }

    #[tokio::test]
    async fn a_redirect_needs_no_store_that_signs_and_later_detours_change_it() {
        let expected = "https://cdn.example/r/docker/registry/v2/blobs/sha256/ab/abc/data";
        assert_eq!(
            location(vec![redirect("https://cdn.example/r")]).await.as_deref(),
            Some(expected)
        );
        let earlier = vec![
            Detour::Rewrite(rewrite("http", "lost", "")),
            redirect("http://also.lost"),
            redirect("http://cdn.example/r/docker"),
            Detour::Rewrite(rewrite("https", "", "")),
            Detour::Rewrite(rewrite("", "h:1", "/r/docker")),
        ];
        assert_eq!(
            location(earlier).await.as_deref(),
            Some("https://h:1/docker/registry/v2/blobs/sha256/ab/abc/data")
        );
    }

    #[test]
    fn a_rewrite_changes_what_it_names_and_keeps_the_signature() {
        let url = "http://minio:9000/bucket/a/b%3D?X-Amz-Signature=f%2F0";
        let changed = |scheme, host, trim| rewrite(scheme, host, trim).of(url);
        assert_eq!(changed("", "", ""), url);
        assert_eq!(
            changed("https", "", ""),
            "https://minio:9000/bucket/a/b%3D?X-Amz-Signature=f%2F0"
        );
        assert_eq!(
            changed("", "s3.example", "/bucket"),
            "http://s3.example/a/b%3D?X-Amz-Signature=f%2F0"
        );
        assert_eq!(
            changed("", "", "/bucket/"),
            "http://minio:9000/a/b%3D?X-Amz-Signature=f%2F0"
        );
        assert_eq!(changed("", "", "/other"), url);
    }
}
