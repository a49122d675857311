//! Showing the records of the trash, and giving deletions up.

use std::time::{Duration, SystemTime};

use super::{TrashId, TrashPage, TrashRecord};
use crate::{
    error::{Error, Result},
    registry::Registry,
    tree::parallel::in_parallel,
};

/// How many records are read at once; each may be large.
const READ_AT_ONCE: usize = 8;

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
