//! Removes many objects.

use std::sync::Arc;

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, Method};
use object_store::{ObjectStore, Result, aws::AmazonS3, path::Path};

use super::requests::{Request, Requests};

/// Objects that are removed in one request; stores take no more.
const MOST: usize = 1000;

/// Removes a thousand objects in one request, and one alone by the request for one, which is less work for the store. When the store refuses one of them, as some do of an object that another
/// request removes at the same time, or has no such request, they are removed one by one.
pub(super) fn remove_many(
    objects: &AmazonS3,
    requests: &Arc<Requests>,
    paths: BoxStream<'static, Result<Path>>,
) -> BoxStream<'static, Result<Path>> {
    let (objects, requests) = (objects.clone(), Arc::clone(requests));
    paths
        .chunks(MOST)
        .then(move |paths| {
            let (objects, requests) = (objects.clone(), Arc::clone(&requests));
            async move {
                let paths: Vec<Path> = match paths.into_iter().collect() {
                    Ok(paths) => paths,
                    Err(error) => return vec![Err(error)],
                };
                if let [_] = paths[..] {
                    return one_by_one(&requests, paths).await;
                }
                let all = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
                match objects.delete_stream(all).try_collect::<Vec<_>>().await {
                    Ok(removed) => removed.into_iter().map(Ok).collect(),
                    Err(_) => one_by_one(&requests, paths).await,
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
}

/// Removes each object by a request of its own, which succeeds also when there is none.
async fn one_by_one(requests: &Requests, paths: Vec<Path>) -> Vec<Result<Path>> {
    const AT_ONCE: usize = 16;

    let removals = paths.into_iter().map(|path| async move {
        let request = Request {
            method: Method::DELETE,
            key: path.as_ref(),
            query: &[],
            headers: HeaderMap::new(),
        };
        requests.send(&request).await?;
        Ok(path)
    });
    stream::iter(removals).buffer_unordered(AT_ONCE).collect().await
}
