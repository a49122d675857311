//! The bucket that `$WHARF_TEST_S3` names, whatever the store: its objects are reached through its protocol.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    ObjectStore as _, ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder},
    path,
};
use tokio::runtime::Runtime;

use super::Site;

/// Requests at once.
const AT_ONCE: usize = 8;

impl Site {
    /// The bucket of this run: `$WHARF_TEST_S3` is the address of the store. The other variables are for what differs from
    /// the store that the tests start.
    pub(crate) fn of_this_run() -> Option<Self> {
        let of = |name: &str, usual: String| std::env::var(name).unwrap_or(usual);
        let usual = Self::local(&std::env::var("WHARF_TEST_S3").ok()?);
        Some(Self {
            bucket: of("WHARF_TEST_S3_BUCKET", usual.bucket),
            access_key: of("WHARF_TEST_S3_KEY", usual.access_key),
            secret_key: of("WHARF_TEST_S3_SECRET", usual.secret_key),
            region: of("WHARF_TEST_S3_REGION", usual.region),
            ..usual
        })
    }

    /// The same bucket, with a directory that no other test and no other run has.
    pub(super) fn with_root_of_its_own(self) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);

        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("a clock after 1970").as_millis();
        let (process, number) = (std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        Self {
            root: format!("test-{now}-{process}-{number}/"),
            ..self
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        let address = self.endpoint.strip_prefix("http://");
        let address = address.and_then(|address| address.trim_end_matches('/').parse().ok());
        address.unwrap_or_else(|| {
            panic!(
                "WHARF_TEST_S3={}: write http://, an IP address and a port",
                self.endpoint
            )
        })
    }

    /// Writes the objects below a directory of the bucket into a directory of files.
    pub(super) fn copy_objects(&self, directory: &str, into: &Path) {
        let (store, prefix) = (self.client(), path::Path::from(self.key(directory)));
        wait(async {
            let listed = store.list(Some(&prefix));
            let copied = listed.try_for_each_concurrent(AT_ONCE, |object| {
                let (store, prefix) = (&store, &prefix);
                async move {
                    let name: Vec<_> = object
                        .location
                        .prefix_match(prefix)
                        .into_iter()
                        .flatten()
                        .collect();
                    let file = name
                        .iter()
                        .fold(into.to_owned(), |path, part| path.join(part.as_ref()));
                    let bytes = store.get(&object.location).await?.bytes().await?;
                    std::fs::create_dir_all(file.parent().unwrap_or(into)).expect("a directory");
                    std::fs::write(file, bytes).expect("a file");
                    Ok(())
                }
            });
            copied.await.expect("the objects of the bucket");
        });
    }

    pub(super) fn has_some_below(&self, directory: &str) -> bool {
        let (store, prefix) = (self.client(), path::Path::from(self.key(directory)));
        let first = wait(async { store.list(Some(&prefix)).next().await });
        first.transpose().expect("a list of the bucket").is_some()
    }

    pub(super) fn lists_from_before(&self, directory: &str) -> bool {
        let (store, prefix) = (self.client(), path::Path::from(self.key(directory)));
        let before = path::Path::from(self.root.as_str());
        let first = wait(async { store.list_with_offset(Some(&prefix), &before).next().await });
        first.transpose().expect("a list of the bucket").is_some()
    }

    /// Removes all objects of the test, as far as the store answers.
    pub(super) fn remove_objects(&self) {
        let (store, prefix) = (self.client(), path::Path::from(self.root.as_str()));
        wait(async {
            let listed = store.list(Some(&prefix));
            let removed = listed.try_for_each_concurrent(AT_ONCE, |object| {
                let store = &store;
                async move { store.delete(&object.location).await }
            });
            drop(removed.await);
        });
    }

    fn client(&self) -> AmazonS3 {
        let builder = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret_key);
        builder.build().expect("settings that can be used")
    }
}

/// Waits for a request; the caller may be on a runtime, where no other one can be waited for.
fn wait<T: Send>(request: impl Future<Output = T> + Send) -> T {
    let wait = || Runtime::new().expect("a runtime").block_on(request);
    std::thread::scope(|scope| scope.spawn(wait).join()).expect("the store answers")
}
