//! The records in the store: written before a deletion, read, and removed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use uuid::Uuid;
use wharf_budget::Share;
use wharf_oci::RepoName;
use wharf_storage::{Condition, Error as StorageError, ErrorKind, Put, Removal, Space, Storage, layout};

use super::{
    pressure::Pressure,
    record::{DeletedKind, Pointers, TrashId, TrashRecord, TrashSummary},
};
use crate::{
    error::{Error, Result},
    events::{Caller, Surface},
    patience::turn,
    tree::{
        directory::names,
        parallel::{failed_job, in_turn},
    },
};

/// The most bytes that a record may have: that of a repository with more than a million pointers.
const READ_LIMIT: u64 = 256 << 20;

/// The largest record that is parsed on an async thread.
const INLINE: u64 = 64 << 10;

/// The records of a store.
#[derive(Debug)]
pub(crate) struct Trash {
    storage: Arc<dyn Storage>,
    retention: Duration,
    /// Large records that are being read and parsed.
    large_reads: Share,
    /// The time of the last record that this process made, in milliseconds.
    last: AtomicU64,
}

impl Trash {
    /// The records in `storage`; large ones are read as `large_reads` permits.
    pub(crate) fn new(storage: Arc<dyn Storage>, retention: Duration, large_reads: Share) -> Self {
        Self {
            storage,
            retention,
            large_reads,
            last: AtomicU64::new(0),
        }
    }

    /// The time for a new record: the records of one process are in the order in which it made them, whatever the clock says.
    fn new_time(&self) -> SystemTime {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let mut time = now;
        // The update never fails.
        _ = self.last.fetch_update(Relaxed, Relaxed, |last| {
            time = now.max(last.saturating_add(1));
            Some(time)
        });
        SystemTime::UNIX_EPOCH + Duration::from_millis(time)
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
        let (number, _) = Uuid::new_v4().as_u64_pair();
        #[expect(clippy::cast_possible_truncation, reason = "any 32 random bits are as good")]
        let id = TrashId::new(self.new_time(), number as u32, name);
        let record = record(&id, caller, name, kind, pointers);
        self.write(record, Condition::Absent).await?;
        Ok(Some(id))
    }

    /// Makes a new record in the place of `id`, of those `pointers` of that deletion that went; the others still stand. Without any
    /// the record goes.
    ///
    /// # Errors
    ///
    /// Errors of the store; then the record names some that still stand, as after a crash.
    pub(crate) async fn narrow(
        &self,
        id: &TrashId,
        caller: &dyn Caller,
        name: &RepoName,
        kind: DeletedKind,
        pointers: Pointers,
    ) -> Result<Option<TrashId>> {
        if pointers.is_empty() {
            return match self.remove(id).await {
                Ok(()) | Err(Error::TrashUnknown { .. }) => Ok(None),
                Err(error) => Err(error),
            };
        }
        let record = record(id, caller, name, kind, pointers);
        self.write(record, Condition::None).await?;
        Ok(Some(id.clone()))
    }

    /// Removes the record of a deletion that was refused after all.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn take_back(&self, id: Option<&TrashId>) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        match self.remove(id).await {
            // A restore has met it, and found everything in its place.
            Err(Error::TrashUnknown { .. }) => Ok(()),
            other => other,
        }
    }

    async fn write(&self, record: TrashRecord, condition: Condition) -> Result<()> {
        let key = layout::trash_record(record.id.as_str());
        let json = tokio::task::spawn_blocking(move || record.to_json());
        let json = json.await.map_err(failed_job)?;
        let json = json.map_err(|error| {
            StorageError::with_source(ErrorKind::Other, "write the record of a deletion", error)
        })?;
        if json.len() as u64 > READ_LIMIT {
            let text =
                "write the record of a deletion: it is too large; delete in parts, or without the trash";
            return Err(StorageError::new(ErrorKind::TooLarge, text).into());
        }
        let put = Put {
            condition,
            ..Put::new(key, json)
        };
        Ok(self.storage.publish(&[put]).await?)
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
    /// [`Error::TrashUnknown`], [`Error::TrashDamaged`]; [`Error::Exhausted`] when it is large and others are read for too long; errors of
    /// the store.
    pub(crate) async fn read(&self, id: &TrashId) -> Result<TrashRecord> {
        self.parse(id, TrashRecord::from_json).await
    }

    /// What the record `id` says, without its pointers.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) async fn summary(&self, id: &TrashId) -> Result<TrashSummary> {
        self.parse(id, TrashSummary::from_json).await
    }

    /// Reads and parses the record `id`. Small ones are read as they come; of large ones some at a time in the whole server.
    async fn parse<T: Send + 'static>(
        &self,
        id: &TrashId,
        parse: fn(TrashId, &[u8]) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let key = layout::trash_record(id.as_str());
        let parsed = match self.storage.read(&key, INLINE).await {
            Ok(object) => parse(id.clone(), &object.bytes),
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                let turn = Arc::new(turn(&self.large_reads).await?);
                let object = self.storage.read(&key, READ_LIMIT).await;
                let (id, bytes) = (id.clone(), object.map_err(|error| unread(id, error))?.bytes);
                in_turn(turn, move || parse(id, &bytes)).await?
            }
            Err(error) => return Err(unread(id, error)),
        };
        parsed.map_err(|why| damaged(id, why))
    }

    /// The identifiers of the records of the repository `name`, as far as they can be read, in the order of their times.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), apart from records that cannot be read.
    pub(crate) async fn ids_of(&self, name: &RepoName) -> Result<Vec<TrashId>> {
        let (ids, _) = self.ids().await?;
        let mut found = Vec::new();
        for id in ids.into_iter().filter(|id| id.may_be_of(name)) {
            match self.summary(&id).await {
                Ok(summary) if summary.repository == *name => found.push(id),
                // One that cannot be read may be of another repository.
                Ok(_) | Err(Error::TrashUnknown { .. } | Error::TrashDamaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
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
        let old: Vec<&TrashId> = ids.iter().filter(|id| is_old(id)).collect();
        self.remove_all(&old).await?;
        Ok(old.len())
    }

    /// Removes the oldest records if the store has less free space than `pressure` wants. Returns these, and the space.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn relieve(&self, pressure: Pressure) -> Result<Option<(Vec<TrashId>, Space)>> {
        let Some(space) = self.felt(pressure).await? else {
            return Ok(None);
        };
        let (mut ids, _) = self.ids().await?;
        ids.truncate(pressure.share_of(ids.len(), Some(space)));
        self.remove_all(&ids.iter().collect::<Vec<_>>()).await?;
        Ok((!ids.is_empty()).then_some((ids, space)))
    }

    /// Whether [`relieve`](Self::relieve) would remove a record.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn is_pressed(&self, pressure: Pressure) -> Result<bool> {
        Ok(self.felt(pressure).await?.is_some() && !self.ids().await?.0.is_empty())
    }

    /// The space of the store, if less of it is free than `pressure` wants.
    async fn felt(&self, pressure: Pressure) -> Result<Option<Space>> {
        if pressure == Pressure::Off {
            return Ok(None);
        }
        let space = self.storage.space().await?;
        Ok(space.filter(|space| pressure.is_felt(*space)))
    }

    async fn remove_all(&self, ids: &[&TrashId]) -> Result<()> {
        let removals = ids.iter().map(|id| Removal {
            key: layout::trash_record(id.as_str()),
            keep: layout::own(),
        });
        let removals: Vec<Removal> = removals.collect();
        Ok(self.storage.remove_many(&removals).await?)
    }
}

/// The record `id` of a deletion for which `caller` asked.
fn record(
    id: &TrashId,
    caller: &dyn Caller,
    name: &RepoName,
    kind: DeletedKind,
    pointers: Pointers,
) -> TrashRecord {
    let origin = caller.origin();
    TrashRecord {
        id: id.clone(),
        actor: origin.actor.as_deref().map(str::to_owned),
        surface: match origin.surface {
            Surface::Distribution => "distribution".to_owned(),
            Surface::Administration => "administration".to_owned(),
            Surface::Ui => "ui".to_owned(),
            Surface::Worker(name) => name.to_owned(),
        },
        kind,
        repository: name.clone(),
        pointers,
    }
}

/// Why the record `id` was not read.
fn unread(id: &TrashId, error: StorageError) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::TrashUnknown { id: id.clone() },
        ErrorKind::TooLarge | ErrorKind::Damaged => damaged(id, error.to_string()),
        _ => error.into(),
    }
}

fn damaged(id: &TrashId, why: String) -> Error {
    Error::TrashDamaged { id: id.clone(), why }
}
