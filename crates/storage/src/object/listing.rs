//! Listing: the names of what looks like a directory, and all objects below a prefix.
//!
//! A bucket sorts whole keys, in which `a-b/x` comes before `a/x`, while names come in their own order. A name whose key
//! comes later than its name should is the beginning of the last key that was read: everything between that key and a later
//! one of `a/` begins with `a` and a character less than the slash. So a page is as many keys as hold enough names, and a
//! look at each such beginning of the last of them.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;

use super::{Bucket, cursor::Cursor, error::failed, modified, stat_of, version_of};
use crate::{
    Entry, Found, FoundPage, Key, Page, Result, ScanPage, Scanned, Version, Wanted, key::is_component,
};

/// How many names are looked at side by side.
const LOOKS: usize = 16;

/// A page of the objects below `prefix`, as the store sorts whole keys. Objects that no [`Key`] stands for are left out.
pub(super) async fn scan(
    bucket: &Bucket,
    prefix: &Key,
    after: Option<&Key>,
    limit: usize,
) -> Result<ScanPage> {
    let below = bucket.path(prefix);
    let mut after = after.map(|after| bucket.path(after));
    // One more than asked for tells whether there are more.
    let wanted = limit.saturating_add(1);
    let mut objects = Vec::new();
    loop {
        let most = wanted - objects.len();
        let found = bucket.store.scan(&below, after.as_ref(), most).await;
        let found = found.map_err(|error| failed(format!("list `{prefix}`"), error))?;
        objects.extend(found.iter().filter_map(|meta| scanned(bucket, meta)));
        let is_last = found.len() < most;
        if is_last || objects.len() == wanted {
            break;
        }
        // Some of these were objects that no key stands for.
        after = found.last().map(|meta| meta.location.clone());
    }
    let more = objects.len() > limit;
    objects.truncate(limit);
    Ok(ScanPage { objects, more })
}

fn scanned(bucket: &Bucket, meta: &ObjectMeta) -> Option<Scanned> {
    let key = bucket.key(&meta.location)?;
    Some(Scanned {
        key,
        stat: stat_of(meta),
    })
}

/// A page of the names below `dir` that have what is `wanted` below them.
pub(super) async fn names_with(
    bucket: &Bucket,
    dir: &Key,
    wanted: Wanted<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<FoundPage> {
    // A tag has two objects, its link and one in its history, or more of these.
    let most = match wanted.besides {
        [] => limit.saturating_mul(2).saturating_add(50),
        _ => usize::MAX,
    };
    let names = Names::read(bucket, dir, Sought::With(wanted), after, limit, most).await?;
    let found = names.found.into_iter().map(|(name, seen)| Found {
        name,
        version: seen.version,
        modified: seen.modified,
        others: seen.others,
    });
    Ok(FoundPage {
        found: found.collect(),
        more: names.more,
    })
}

/// A page of the names below `dir`.
pub(super) async fn list(bucket: &Bucket, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
    let most = limit.saturating_mul(2).saturating_add(1);
    let names = Names::read(bucket, dir, Sought::Anything, after, limit, most).await?;
    let entries = names.found.into_iter().map(|(name, seen)| Entry {
        name,
        is_dir: seen.is_directory,
    });
    Ok(Page {
        entries: entries.collect(),
        more: names.more,
        version: None,
        unreachable: Arc::default(),
    })
}

/// What makes a name one that is looked for.
#[derive(Clone, Copy)]
enum Sought<'a> {
    Anything,
    With(Wanted<'a>),
}

/// What was seen of a name.
#[derive(Default)]
struct Seen {
    /// Whether there is something below it
    is_directory: bool,
    /// Whether the object is there that is wanted, and its version
    has_object: bool,
    version: Option<Version>,
    /// When that was written
    modified: Option<SystemTime>,
    /// Paths of others, and when they were written
    others: Vec<(Box<str>, SystemTime)>,
    /// Whether one of the objects is there that are wanted besides
    has_besides: bool,
}

impl<'a> Sought<'a> {
    fn is_met(self, seen: &Seen) -> bool {
        match self {
            Self::Anything => true,
            Self::With(wanted) => seen.has_object && (wanted.besides.is_empty() || seen.has_besides),
        }
    }

    /// Notes the object at `path` below a name, or at the name itself.
    fn note(self, seen: &mut Seen, path: Option<&str>, meta: &ObjectMeta) {
        let Some(path) = path else { return };
        seen.is_directory = true;
        let Self::With(wanted) = self else { return };
        if path == wanted.object.as_str() && meta.size > 0 {
            seen.has_object = true;
            seen.version = version_of(meta);
            seen.modified = Some(modified(meta));
        } else if path != wanted.object.as_str() && seen.others.len() < wanted.others {
            seen.others.push((path.into(), modified(meta)));
        }
        seen.has_besides |= wanted.besides.iter().any(|besides| path == besides.as_str());
    }

    /// The path below a name that is to be read next, after `path`; `None` when nothing below it matters any more.
    fn next(self, seen: &Seen, path: &str) -> Option<&'a str> {
        match self {
            Self::With(wanted) if !self.is_met(seen) => {
                let paths = std::iter::once(wanted.object).chain(wanted.besides);
                paths.map(Key::as_str).filter(|next| *next > path).min()
            }
            _ => None,
        }
    }
}

/// The names of one page.
struct Names {
    found: Vec<(Box<str>, Seen)>,
    more: bool,
}

impl Names {
    /// Reads the first `limit` names after `after` in `dir`, and for that at first `most` keys.
    async fn read(
        bucket: &Bucket,
        dir: &Key,
        sought: Sought<'_>,
        after: Option<&str>,
        limit: usize,
        most: usize,
    ) -> Result<Self> {
        let mut reading = Reading {
            bucket,
            dir,
            sought,
            after: after.unwrap_or_default(),
            limit,
            seen: BTreeMap::new(),
        };
        if let Some(last) = reading.read_keys(most).await? {
            reading.look_at_beginnings(&last).await?;
        }
        let mut found: Vec<_> = reading.seen.into_iter().collect();
        found.retain(|(_, seen)| sought.is_met(seen));
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(Self { found, more })
    }
}

struct Reading<'a> {
    bucket: &'a Bucket,
    dir: &'a Key,
    sought: Sought<'a>,
    after: &'a str,
    limit: usize,
    seen: BTreeMap<Box<str>, Seen>,
}

impl Reading<'_> {
    /// Reads keys until they hold one name more than the limit, which tells that there are more. Returns the path of the
    /// last one, or `None` when all were read.
    async fn read_keys(&mut self, most: usize) -> Result<Option<Box<str>>> {
        let mut cursor = Cursor::after_name(self.bucket, self.dir, self.after);
        let mut found = 0;
        let mut most = most;
        loop {
            let page = cursor.next(most).await?;
            for meta in &page {
                found += usize::from(cursor.path_of(meta).is_some_and(|path| self.note(path, meta)));
            }
            if cursor.is_at_end() {
                return Ok(None);
            }
            if let Some(last) = page.last().and_then(|meta| cursor.path_of(meta)) {
                if found > self.limit {
                    return Ok(Some(last.into()));
                }
                self.skip(&mut cursor, last);
            }
            most = usize::MAX;
        }
    }

    /// Notes an object, and returns whether the name that it belongs to is met by it for the first time.
    fn note(&mut self, path: &str, meta: &ObjectMeta) -> bool {
        let (name, below) = match path.split_once('/') {
            Some((name, below)) => (name, Some(below)),
            None => (path, None),
        };
        if name <= self.after || !is_component(name) {
            return false;
        }
        let (seen, was_met) = match self.seen.get_mut(name) {
            Some(seen) => {
                let was_met = self.sought.is_met(seen);
                (seen, was_met)
            }
            None => (self.seen.entry(name.into()).or_default(), false),
        };
        self.sought.note(seen, below, meta);
        !was_met && self.sought.is_met(seen)
    }

    /// Leaves out what does not matter below the name of the key `last`.
    fn skip(&self, cursor: &mut Cursor<'_>, last: &str) {
        let Some((name, below)) = last.split_once('/') else {
            return;
        };
        let seen = self.seen.get(name);
        match seen.and_then(|seen| self.sought.next(seen, below)) {
            // Just before it: all of it but its last character.
            Some(next) => cursor.skip_to(&format!("{name}/{}", &next[..next.len() - 1])),
            None => cursor.skip_below(name),
        }
    }

    /// Looks at the names whose keys come after the key `last`, though they belong before the end of the page.
    async fn look_at_beginnings(&mut self, last: &str) -> Result<()> {
        let met = self.seen.iter().filter(|(_, seen)| self.sought.is_met(seen));
        let end = met.map(|(name, _)| name.clone()).nth(self.limit);
        let name = last.split('/').next().unwrap_or(last);
        let beginnings = name
            .char_indices()
            .filter(|(_, next)| *next < '/')
            .map(|(end, _)| &name[..end]);
        let names: Vec<&str> = beginnings
            // Of the last name itself not everything was read.
            .chain([name])
            .filter(|name| *name > self.after && end.as_deref().is_none_or(|end| *name < end))
            .filter(|name| is_component(name) && !self.is_settled(name))
            .collect();
        let looks: Vec<_> = names.iter().map(|name| self.look_at(name).boxed()).collect();
        let looks: Vec<Seen> = stream::iter(looks).buffered(LOOKS).try_collect().await?;
        for (name, seen) in names.into_iter().zip(looks) {
            if seen.is_directory {
                self.seen.insert(name.into(), seen);
            }
        }
        Ok(())
    }

    /// Whether no more needs to be known of a name.
    fn is_settled(&self, name: &str) -> bool {
        let seen = self.seen.get(name);
        seen.is_some_and(|seen| seen.is_directory && self.sought.is_met(seen))
    }

    async fn look_at(&self, name: &str) -> Result<Seen> {
        let mut seen = Seen::default();
        match self.sought {
            Sought::Anything => {
                let below = self.bucket.path(&self.below(name)?);
                let first = self.bucket.store.scan(&below, None, 1).await;
                let first = first.map_err(|error| failed(format!("list `{}`", self.dir), error))?;
                seen.is_directory = !first.is_empty();
            }
            Sought::With(wanted) => {
                let paths = std::iter::once(wanted.object).chain(wanted.besides);
                for path in paths.map(Key::as_str) {
                    let key = self.below(&format!("{name}/{path}"))?;
                    match self.bucket.head(&key).await {
                        Ok(meta) => self.sought.note(&mut seen, Some(path), &meta),
                        Err(error) if error.is_not_found() => {}
                        Err(error) => return Err(error),
                    }
                    if !seen.has_object || self.sought.is_met(&seen) {
                        break;
                    }
                }
            }
        }
        Ok(seen)
    }

    fn below(&self, path: &str) -> Result<Key> {
        let key = self.dir.join(path);
        key.map_err(|error| crate::Error::with_source(crate::ErrorKind::Other, "list names", error))
    }
}
