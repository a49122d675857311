//! The trash: of each deletion a record of the pointers that went, from which they can be written again.
//!
//! # What a record promises
//!
//! A record is made durable before the first pointer of its deletion goes, so what was deleted is always either still pointed
//! at or in the trash. A crash, or an error, in between leaves a record beside pointers that still stand; restoring it finds
//! them in their place. The record holds no bytes: what its pointers name is kept, because the collector takes it for
//! needed ([`TrashRoots`]) as long as the record is there. With [`Options::trash_retention`] of zero no records are made.
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
mod restore;
pub(crate) mod roots;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;
use wharf_oci::RepoName;
use wharf_storage::{Error as StorageError, ErrorKind, Put, Removal, Storage, layout};

use crate::{
    error::{Error, Result},
    events::{Caller, Surface},
    registry::Registry,
    tree::{
        directory::names,
        parallel::{failed_job, in_parallel},
    },
};

pub(crate) use self::roots::TrashRoots;
pub use self::{
    record::{
        DeletedKind, Pointers, TrashId, TrashIdError, TrashRecord, TrashedEntry, TrashedLayer, TrashedLink,
        TrashedTag,
    },
    restore::{LeftAlone, Restored},
};

/// The most bytes that a record may have: that of a repository with more than a million pointers.
const READ_LIMIT: u64 = 256 << 20;

/// The largest record that is written or parsed on an async thread.
const INLINE: usize = 64 << 10;

/// The records of a store.
#[derive(Debug)]
pub(crate) struct Trash {
    storage: Arc<dyn Storage>,
    retention: Duration,
}

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

impl Trash {
    pub(crate) fn new(storage: Arc<dyn Storage>, retention: Duration) -> Self {
        Self { storage, retention }
    }

    /// Whether deletions are recorded.
    pub(crate) fn is_kept(&self) -> bool {
        !self.retention.is_zero()
    }

    /// Makes a record of `pointers`, durably, before they go. `None` when no records are made, or there is nothing to record.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn keep(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        kind: DeletedKind,
        pointers: Pointers,
    ) -> Result<Option<TrashId>> {
        if !self.is_kept() || pointers.is_empty() {
            return Ok(None);
        }
        let origin = caller.origin();
        let (number, _) = Uuid::new_v4().as_u64_pair();
        #[expect(clippy::cast_possible_truncation, reason = "any 32 random bits are as good")]
        let id = TrashId::new(SystemTime::now(), number as u32);
        let record = TrashRecord {
            id: id.clone(),
            actor: origin.actor.as_deref().map(str::to_owned),
            surface: match origin.surface {
                Surface::Distribution => "distribution".to_owned(),
                Surface::Administration => "administration".to_owned(),
                Surface::Worker(name) => name.to_owned(),
            },
            kind,
            repository: name.clone(),
            pointers,
        };
        let json = tokio::task::spawn_blocking(move || record.to_json());
        let json = json.await.map_err(failed_job)?;
        let json = json.map_err(|error| {
            StorageError::with_source(ErrorKind::Other, "write the record of a deletion", error)
        })?;
        let put = Put::new(layout::trash_record(id.as_str()), json).if_absent();
        self.storage.publish(&[put]).await?;
        Ok(Some(id))
    }

    /// The identifiers of all records, in the order of their times, and the names of files in the directory that are none.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn ids(&self) -> Result<(Vec<TrashId>, Vec<Box<str>>)> {
        let (mut ids, mut strangers) = (Vec::new(), Vec::new());
        for entry in names(&*self.storage, &layout::trash()).await? {
            match entry.name.strip_suffix(".json").map(str::parse) {
                Some(Ok(id)) if !entry.is_dir => ids.push(id),
                _ => strangers.push(entry.name),
            }
        }
        Ok((ids, strangers))
    }

    /// The record `id`.
    ///
    /// # Errors
    ///
    /// [`Error::TrashUnknown`], [`Error::TrashDamaged`]; errors of the store.
    pub(crate) async fn read(&self, id: &TrashId) -> Result<TrashRecord> {
        let read = self
            .storage
            .read(&layout::trash_record(id.as_str()), READ_LIMIT)
            .await;
        let bytes = match read {
            Ok(object) => object.bytes,
            Err(error) if error.is_not_found() => return Err(Error::TrashUnknown { id: id.clone() }),
            Err(error) if matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Damaged) => {
                return Err(damaged(id, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let of = id.clone();
        let parsed = match bytes.len() {
            ..=INLINE => TrashRecord::from_json(of, &bytes),
            _ => {
                let parse = move || TrashRecord::from_json(of, &bytes);
                tokio::task::spawn_blocking(parse).await.map_err(failed_job)?
            }
        };
        parsed.map_err(|why| damaged(id, why))
    }

    /// Removes the record `id`; what it alone kept is garbage from then on.
    ///
    /// # Errors
    ///
    /// [`Error::TrashUnknown`]; errors of the store.
    pub(crate) async fn remove(&self, id: &TrashId) -> Result<()> {
        let key = layout::trash_record(id.as_str());
        match self.storage.remove(&key, &layout::own()).await {
            Err(error) if error.is_not_found() => Err(Error::TrashUnknown { id: id.clone() }),
            other => Ok(other?),
        }
    }

    /// Removes the records that are older than the retention, and returns how many these were.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn expire(&self) -> Result<usize> {
        let now = SystemTime::now();
        let (ids, _) = self.ids().await?;
        let is_old = |id: &TrashId| {
            now.duration_since(id.time())
                .is_ok_and(|age| age >= self.retention)
        };
        let old: Vec<Removal> = ids
            .iter()
            .filter(|id| is_old(id))
            .map(|id| Removal {
                key: layout::trash_record(id.as_str()),
                keep: layout::own(),
            })
            .collect();
        self.storage.remove_many(&old).await?;
        Ok(old.len())
    }
}

fn damaged(id: &TrashId, why: String) -> Error {
    Error::TrashDamaged { id: id.clone(), why }
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
