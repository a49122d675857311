//! A walk over the keys below a directory in their order, page by page, which leaves out what it need not see.

use object_store::{ObjectMeta, path::Path};

use super::{Bucket, error::failed};
use crate::{Key, Result, key::is_component_byte};

/// The keys below one directory. They come by flat listings alone, because these are what all stores agree on: directories
/// that a store makes up of them may be empty, or in another order.
pub(super) struct Cursor<'a> {
    bucket: &'a Bucket,
    dir: &'a Key,
    below: Path,
    /// Key after which the next page begins
    after: Option<Path>,
    is_at_end: bool,
}

impl<'a> Cursor<'a> {
    /// All keys below `dir`.
    pub(super) fn new(bucket: &'a Bucket, dir: &'a Key) -> Self {
        Self {
            bucket,
            dir,
            below: bucket.path(dir),
            after: None,
            is_at_end: false,
        }
    }

    /// All keys below those names in `dir` that come after the text `after`, and maybe others.
    pub(super) fn after_name(bucket: &'a Bucket, dir: &'a Key, after: &str) -> Self {
        let mut cursor = Self::new(bucket, dir);
        cursor.skip_to(&start_after(after, false));
        cursor
    }

    /// All keys below those paths in `dir` that come after the text `after`, and maybe others.
    pub(super) fn after_path(bucket: &'a Bucket, dir: &'a Key, after: &str) -> Self {
        let mut cursor = Self::new(bucket, dir);
        cursor.skip_to(&start_after(after, true));
        cursor
    }

    /// The next objects, by one request: `most` of them, if the store lists so many at once, unless the end comes before.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<ObjectMeta>> {
        let most = most.clamp(1, self.bucket.limits.listed);
        let store = &self.bucket.store;
        let found = store.scan(&self.below, self.after.as_ref(), most).await;
        let found = found.map_err(|error| failed(format!("list `{}`", self.dir), error))?;
        self.is_at_end = found.len() < most;
        if let Some(last) = found.last() {
            let last = &last.location;
            let goes_on = self.after.as_ref().is_none_or(|after| last > after);
            // An object whose key ends with a slash stands where that slash sorts, and is shown without it. The next page
            // would be this one again.
            self.after = match goes_on {
                true => Some(last.clone()),
                false => Path::parse(format!("{last}/{FIRST}")).ok(),
            };
        }
        Ok(found)
    }

    /// Whether the last page was the last one.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The path of an object below the directory.
    pub(super) fn path_of<'m>(&self, meta: &'m ObjectMeta) -> Option<&'m str> {
        let path = meta.location.as_ref().strip_prefix(self.below.as_ref())?;
        path.strip_prefix('/')
    }

    /// Leaves out the keys up to `path`.
    pub(super) fn skip_to(&mut self, path: &str) {
        let to = Path::parse(format!("{}/{path}", self.below)).ok();
        let to = to.filter(|to| *to > self.below);
        // Never backwards.
        self.after = self.after.take().max(to);
    }

    /// Leaves out what lies below `path`, and what comes before that.
    pub(super) fn skip_below(&mut self, path: &str) {
        self.skip_to(&after_all_below(path));
    }

    /// Leaves out what comes before the keys below `path`, in which `path-2` is before what lies below `path`.
    pub(super) fn skip_to_below(&mut self, path: &str) {
        self.skip_to(&format!("{path}/{FIRST}"));
    }
}

/// A path that sorts after all keys below `path`, and before those that come after these.
pub(super) fn after_all_below(path: &str) -> String {
    format!("{path}/{LAST}")
}

/// Sorts before every character of a key.
const FIRST: char = '!';

/// Sorts after every character of a key.
pub(super) const LAST: char = '~';

/// A path that no name after `text` comes before, and few other names after. The text may be anything; names are paths if they
/// have `slashes`.
fn start_after(text: &str, slashes: bool) -> String {
    let mut component = 0;
    for (at, byte) in text.bytes().enumerate() {
        let is_dotted = matches!(&text[component..at], "." | "..");
        if byte == b'/' && is_dotted {
            break;
        }
        let is_last = at + 1 == text.len();
        if byte == b'/' && slashes && at > component && !is_last {
            component = at + 1;
        } else if !is_component_byte(byte) {
            return start_before(&text[..at], byte);
        }
    }
    match text.get(component..).unwrap_or_default() {
        rest if rest == "." || rest == ".." || rest.starts_with("./") || rest.starts_with("../") => {
            start_before(&text[..component], b'.')
        }
        _ => text.to_owned(),
    }
}

/// A path that no name comes before which begins with `start` and goes on with `byte` or a greater one.
fn start_before(start: &str, byte: u8) -> String {
    match (0..byte).rev().find(|less| is_component_byte(*less)) {
        Some(less) => format!("{start}{}{LAST}", char::from(less)),
        None if start.is_empty() || start.ends_with('/') => format!("{start}{FIRST}"),
        None => start.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_may_start_after_any_text() {
        for (text, names, paths) in [
            ("", "", ""),
            ("v1.0", "v1.0", "v1.0"),
            ("a/b", "a.~", "a/b"),
            ("a/", "a.~", "a.~"),
            ("a//b", "a.~", "a/.~"),
            ("/", ".~", ".~"),
            ("a/../b", "a.~", "a/-~"),
            ("..", "-~", "-~"),
            (".a", ".a", ".a"),
            ("...", "...", "..."),
            ("a b", "a", "a"),
            ("a/ b", "a.~", "a/!"),
            ("\0", "!", "!"),
            ("a\u{fc}", "az~", "az~"),
            ("a:b", "a9~", "a9~"),
        ] {
            assert_eq!(start_after(text, false), names, "{text:?}");
            assert_eq!(start_after(text, true), paths, "{text:?}");
        }
    }
}
