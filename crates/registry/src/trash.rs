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

pub(crate) mod record;
pub(crate) mod records;
mod restore;
pub(crate) mod roots;

use std::time::{Duration, SystemTime};

use crate::{
    error::{Error, Result},
    registry::Registry,
    tree::parallel::in_parallel,
};

pub use self::{
    record::{
        DeletedKind, Pointers, TrashId, TrashIdError, TrashRecord, TrashedEntry, TrashedLayer, TrashedLink,
        TrashedTag,
    },
    restore::{LeftAlone, Restored},
};

/// Records of the trash, in the order of their times.
#[derive(Debug, Default)]
pub struct TrashPage {
    /// The records.
    pub records: Vec<TrashRecord>,
    /// Records that cannot be read, each with the reason.
    pub damaged: Vec<(TrashId, String)>,
    /// The last one of this page; `None` when it is empty.
    pub last: Option<TrashId>,
    /// Whether there are more after it.
    pub more: bool,
}

impl Registry {
    /// How long deletions stay in the trash; zero: there is none.
    pub fn trash_retention(&self) -> Duration {
        self.options.trash_retention
    }

    /// The records of deletions after `after`, at most `limit` of them that are `shown`, in the order of their times.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn trash_page(
        &self,
        after: Option<&TrashId>,
        limit: usize,
        shown: &(dyn Fn(&TrashRecord) -> bool + Sync),
    ) -> Result<TrashPage> {
        let (ids, _) = self.trash.ids().await?;
        let rest = ids.partition_point(|id| after.is_some_and(|after| id <= after));
        let mut page = TrashPage::default();
        for some in ids[rest..].chunks(READ_AT_ONCE) {
            let reads = some
                .iter()
                .map(|id| async { Ok::<_, Error>(self.trash.read(id).await) });
            let read: Vec<Result<TrashRecord>> = in_parallel(reads).await?;
            for (id, record) in some.iter().zip(read) {
                if page.records.len() + page.damaged.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.last = Some(id.clone());
                match record {
                    Ok(record) if shown(&record) => page.records.push(record),
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

/// How many records are read at once; each may be large.
const READ_AT_ONCE: usize = 8;
