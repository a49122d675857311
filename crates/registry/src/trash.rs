//! The trash: of each deletion a record of the pointers that went, from which they can be written again.
//!
//! # What a record promises
//!
//! A record is made durable before the first pointer of its deletion goes, so what was deleted is always either still pointed
//! at or in the trash. A crash, or an error, in between leaves a record beside pointers that still stand; restoring it finds
//! them in their place. The record holds no bytes: what its pointers name is kept, because the collector takes it for
//! needed ([`roots`]) as long as the record is there. With [`Options::trash_retention`] of zero no records are made.
//!
//! # Why the collector misses no record
//!
//! A mark reads the trash *before* the repositories and once more *after* them, and keeps what either reading names. A deletion
//! writes its record before it removes a pointer: a mark that does not find the pointer any more finds the record at the
//! second reading. A restore removes the record after the pointers are written: a mark that came too early for these had
//! read the record at the first reading. And a restore relies on what it points at as a push does
//! ([`coordination`](crate::coordination)), so what was marked too early, between a deletion and a restore that both fell
//! into one mark, is pinned or refused like the content of any push.
//!
//! [`Options::trash_retention`]: crate::Options::trash_retention

pub(crate) mod pressure;
pub(crate) mod record;
pub(crate) mod records;
mod restore;
pub(crate) mod roots;

use std::time::{Duration, SystemTime};

use wharf_oci::RepoName;

use crate::{
    error::{Error, Result},
    registry::Registry,
    tree::parallel::in_parallel,
};

pub use self::{
    pressure::Pressure,
    record::{
        DeletedKind, Pointers, TrashId, TrashIdError, TrashRecord, TrashSummary, TrashedEntry, TrashedLayer,
        TrashedLink, TrashedTag,
    },
    restore::{LeftAlone, Restored},
};

/// Records of the trash, the newest first.
#[derive(Debug, Default)]
pub struct TrashPage {
    /// What the records say.
    pub records: Vec<TrashSummary>,
    /// Records that cannot be read, each with the reason.
    pub damaged: Vec<(TrashId, String)>,
    /// The oldest record that was looked at, whether it is shown or not, with which the next page goes on; `None`: there was none.
    pub last: Option<TrashId>,
    /// Whether there are older ones.
    pub more: bool,
}

impl Registry {
    /// How long deletions stay in the trash; zero: there is none.
    pub fn trash_retention(&self) -> Duration {
        self.options.trash_retention
    }

    /// The deletions before `before`, at most `limit` of them, `of` one repository or all, from repositories that are `shown`, the newest
    /// first. Not more than 256 records are read, a few at a time, so that a page may have fewer than there are, and none at all. Where a
    /// page goes on depends on times alone, so what is deleted, restored or given up meanwhile moves nothing between pages.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when one is large and others are read for too long; errors of the store.
    pub async fn trash_page(
        &self,
        before: Option<&TrashId>,
        limit: usize,
        of: Option<&RepoName>,
        shown: &(dyn Fn(&RepoName) -> bool + Sync),
    ) -> Result<TrashPage> {
        let (mut ids, _) = self.trash.ids().await?;
        ids.retain(|id| before.is_none_or(|before| id < before) && of.is_none_or(|name| id.may_be_of(name)));
        ids.reverse();
        let is_shown = |name: &RepoName| of.is_none_or(|only| only == name) && shown(name);
        let mut page = TrashPage {
            more: ids.len() > READ_FOR_PAGE,
            ..TrashPage::default()
        };
        ids.truncate(READ_FOR_PAGE);
        for some in ids.chunks(READ_AT_ONCE) {
            let reads = some
                .iter()
                .map(|id| async { Ok::<_, Error>(self.trash.summary(id).await) });
            let read: Vec<Result<TrashSummary>> = in_parallel(reads).await?;
            for (id, record) in some.iter().zip(read) {
                if page.records.len() + page.damaged.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.last = Some(id.clone());
                match record {
                    Ok(record) if is_shown(&record.repository) => page.records.push(record),
                    // It was restored, or removed, since it was listed.
                    Ok(_) | Err(Error::TrashUnknown { .. }) => {}
                    Err(Error::TrashDamaged { why, .. }) => page.damaged.push((id.clone(), why)),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(page)
    }

    /// The record of the deletion `id`.
    ///
    /// # Errors
    ///
    /// [`Error::TrashUnknown`], [`Error::TrashDamaged`]; errors of the store.
    pub async fn trash_record(&self, id: &TrashId) -> Result<TrashRecord> {
        self.trash.read(id).await
    }

    /// Removes the record of the deletion `id`: it cannot be taken back any more, and the collector frees what it kept.
    ///
    /// # Errors
    ///
    /// [`Error::TrashUnknown`]; errors of the store.
    pub async fn remove_from_trash(&self, id: &TrashId) -> Result<()> {
        self.trash.remove(id).await
    }

    /// Removes the records of all deletions that were made before `before`, those that cannot be read among them. Returns how
    /// many these were.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn empty_trash(&self, before: SystemTime) -> Result<usize> {
        let (ids, _) = self.trash.ids().await?;
        let mut removed = 0;
        for id in ids.iter().filter(|id| id.time() < before) {
            match self.trash.remove(id).await {
                Ok(()) => removed += 1,
                Err(Error::TrashUnknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// How many records are read at once.
const READ_AT_ONCE: usize = 8;

/// How many records are read for one page.
const READ_FOR_PAGE: usize = 256;
