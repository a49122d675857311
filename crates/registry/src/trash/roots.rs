//! What the trash keeps: the digests that its records name, repository by repository, for the collector.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use wharf_oci::{Digest, RepoName};
use wharf_storage::layout;

use super::{
    record::{TrashId, TrashRecord},
    records::Trash,
};
use crate::{
    error::{Error, Result},
    tree::parallel::in_parallel,
};

/// How many records are read at once; each may be large.
const READ_AT_ONCE: usize = 8;

/// What the records of the trash name.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrashRoots {
    by_repository: BTreeMap<Box<str>, Arc<Roots>>,
    ids: HashSet<TrashId>,
    /// How many records were read.
    records: usize,
}

/// What the records of one repository name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roots {
    /// Manifests, which need what they name.
    pub(crate) manifests: HashSet<Digest>,
    /// Layers by the digests of their links, and by those under which their bytes are stored.
    pub(crate) layers: HashSet<Digest>,
}

impl TrashRoots {
    /// What the records of `trash` name at this moment.
    ///
    /// # Errors
    ///
    /// [`Error::TrashDamaged`] when a record cannot be read: it is unknown what it keeps, so nothing may be removed. Errors of
    /// the store.
    pub(crate) async fn read(trash: &Trash) -> Result<Self> {
        let (ids, strangers) = trash.ids().await?;
        for name in strangers {
            tracing::warn!(
                directory = layout::trash().as_str(),
                name = &*name,
                "passed over a file that is no record of a deletion"
            );
        }
        let mut roots = Self::default();
        roots.add_all(trash, ids).await?;
        Ok(roots)
    }

    /// What the records of one repository name, as far as they can be read.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn of_repository(trash: &Trash, name: &RepoName) -> Result<Arc<Roots>> {
        let (mut ids, _) = trash.ids().await?;
        ids.retain(|id| id.may_be_of(name));
        let mut roots = Self::default();
        for some in ids.chunks(READ_AT_ONCE) {
            let reads = some
                .iter()
                .map(|id| async move { Ok::<_, Error>(trash.read(id).await) });
            let records: Vec<Result<TrashRecord>> = in_parallel(reads).await?;
            for record in records {
                match record {
                    Ok(record) if record.repository == *name => roots.add(&record),
                    // One that cannot be read may be of another repository.
                    Ok(_) | Err(Error::TrashUnknown { .. } | Error::TrashDamaged { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(roots.of(name.as_str()))
    }

    /// What records name that are in the `trash` at this moment and were not when this was read. Records do not change.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) async fn since(&self, trash: &Trash) -> Result<Self> {
        let (mut ids, _) = trash.ids().await?;
        ids.retain(|id| !self.ids.contains(id));
        let mut roots = Self::default();
        roots.add_all(trash, ids).await?;
        Ok(roots)
    }

    async fn add_all(&mut self, trash: &Trash, ids: Vec<TrashId>) -> Result<()> {
        for some in ids.chunks(READ_AT_ONCE) {
            let reads = some
                .iter()
                .map(|id| async move { Ok::<_, Error>(trash.read(id).await) });
            let records: Vec<Result<TrashRecord>> = in_parallel(reads).await?;
            for record in records {
                match record {
                    // It was restored, or removed, since it was listed.
                    Err(Error::TrashUnknown { .. }) => {}
                    other => self.add(&other?),
                }
            }
        }
        self.ids.extend(ids);
        Ok(())
    }

    fn add(&mut self, record: &TrashRecord) {
        self.records += 1;
        let name: Box<str> = record.repository.as_str().into();
        let roots = Arc::make_mut(self.by_repository.entry(name).or_default());
        roots.manifests.extend(record.pointers.named_manifests());
        for layer in &record.pointers.layers {
            roots.layers.insert(layer.digest);
            roots.layers.extend(layer.stored);
        }
    }

    /// How many records there are.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// What the records of the repository `name` keep.
    pub(crate) fn of(&self, name: &str) -> Arc<Roots> {
        self.by_repository.get(name).cloned().unwrap_or_default()
    }

    /// The names of all repositories of which there are records.
    pub(crate) fn repositories(&self) -> impl Iterator<Item = &str> {
        self.by_repository.keys().map(|name| &**name)
    }
}
