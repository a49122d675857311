//! Lists the objects of a bucket, page by page.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, Method};
use object_store::{ObjectMeta, Result, path::Path};

use super::{
    answers::{self, Listing, Named},
    requests::{Request, Requests},
};

/// Objects in one page of a listing; stores give no more.
pub(super) const PAGE: usize = 1000;

/// Lists objects. Clones share whether a key was reported.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    requests: Arc<Requests>,
    /// A key that no path can name was reported.
    has_warned: Arc<AtomicBool>,
}

/// Which objects to list.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Beginning of their keys
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    /// Objects in a page
    pub(super) most: usize,
}

impl Wanted {
    /// All objects below the directory.
    pub(super) fn below(directory: Option<&Path>) -> Self {
        Self {
            prefix: below(directory),
            after: None,
            most: PAGE,
        }
    }
}

impl Lists {
    pub(super) fn new(requests: &Arc<Requests>) -> Self {
        Self {
            requests: Arc::clone(requests),
            has_warned: Arc::default(),
        }
    }

    /// All pages of a listing, from the first.
    fn pages(&self, wanted: Wanted) -> BoxStream<'static, Result<Named>> {
        let lists = self.clone();
        // `None` instead of a token: there are no more.
        stream::try_unfold(Some(None::<String>), move |token| {
            let (lists, wanted) = (lists.clone(), wanted.clone());
            async move {
                let Some(token) = token else { return Ok(None) };
                let page = page(&lists.requests, &wanted, token.as_deref()).await?;
                let next = page.next();
                let named = page.named()?;
                if let Some(key) = &named.stray
                    && !lists.has_warned.swap(true, Ordering::Relaxed)
                {
                    tracing::warn!(
                        key,
                        "the bucket has a key that no registry writes; listings leave out such keys"
                    );
                }
                Ok(Some((named, next.map(Some))))
            }
        })
        .boxed()
    }

    /// All objects of a listing.
    pub(super) fn objects(&self, wanted: Wanted) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(wanted)
            .map_ok(|named| stream::iter(named.objects.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }
}

async fn page(requests: &Requests, wanted: &Wanted, token: Option<&str>) -> Result<Listing> {
    let most = wanted.most.to_string();
    let mut query = vec![
        ("list-type", "2"),
        ("max-keys", &most),
        ("prefix", &wanted.prefix),
    ];
    match (token, &wanted.after) {
        (Some(token), _) => query.push(("continuation-token", token)),
        (None, Some(after)) => query.push(("start-after", after)),
        (None, None) => {}
    }
    let request = Request {
        method: Method::GET,
        key: "",
        query: &query,
        headers: HeaderMap::new(),
    };
    answers::read(&requests.send(&request).await?)
}

/// The beginning of all keys below a directory.
pub(super) fn below(prefix: Option<&Path>) -> String {
    match prefix {
        Some(prefix) if !prefix.is_root() => format!("{prefix}/"),
        _ => String::new(),
    }
}
