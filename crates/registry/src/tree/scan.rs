//! All objects below a prefix of a store, page by page, and what the paths of links among them name.

use std::collections::VecDeque;

use wharf_oci::Digest;
use wharf_storage::{Key, Scanned, Storage};

/// How many objects are asked of a store at once: a bucket gives a thousand, and one more than these tells whether there are more.
pub(crate) const PAGE: usize = 999;

/// The objects below a prefix, in ascending order of their keys.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    storage: &'a dyn Storage,
    prefix: Key,
    page: VecDeque<Scanned>,
    /// The key after which reading goes on.
    after: Option<Key>,
    is_at_end: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(storage: &'a dyn Storage, prefix: &Key) -> Self {
        Self {
            storage,
            prefix: prefix.clone(),
            page: VecDeque::new(),
            after: None,
            is_at_end: false,
        }
    }

    /// The next object.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn next(&mut self) -> wharf_storage::Result<Option<Scanned>> {
        self.fill().await?;
        Ok(self.page.pop_front())
    }

    /// The next object, which stays the next one. [`fill`](Self::fill) comes before.
    pub(crate) fn first(&self) -> Option<&Scanned> {
        self.page.front()
    }

    /// Takes the [first](Self::first) object.
    pub(crate) fn take_first(&mut self) -> Option<Scanned> {
        self.page.pop_front()
    }

    /// Reads a page if there is no object left of the last one.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn fill(&mut self) -> wharf_storage::Result<()> {
        while self.page.is_empty() && !self.is_at_end {
            let page = self.storage.scan(&self.prefix, self.after.as_ref(), PAGE).await?;
            self.is_at_end = !page.more;
            self.after = page
                .objects
                .last()
                .map(|object| object.key.clone())
                .or(self.after.take());
            self.page.extend(page.objects);
        }
        Ok(())
    }
}

/// The path of `key` below the directory `prefix`.
pub(crate) fn below<'a>(prefix: &Key, key: &'a Key) -> Option<&'a str> {
    key.as_str().strip_prefix(prefix.as_str())?.strip_prefix('/')
}

/// Whether a path has the form of that of a link, whatever the algorithm: `<algorithm>/<hex>/link`.
pub(crate) fn is_link(path: &str) -> bool {
    let mut parts = path.split('/');
    matches!((parts.nth(2), parts.next()), (Some("link"), None))
}

/// The digest that the path `<algorithm>/<hex>/link` names.
pub(crate) fn named(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_suffix("/link")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}
