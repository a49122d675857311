//! What the trash keeps: the digests that its records name, repository by repository, for the collector.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use wharf_oci::Digest;
use wharf_storage::layout;

use super::{Trash, TrashId};
use crate::error::{Error, Result};

/// What the records of the trash name.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrashRoots {
    by_repository: BTreeMap<Box<str>, Arc<Roots>>,
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
        for id in &ids {
            roots.add(trash, id).await?;
        }
        Ok(roots)
    }

    async fn add(&mut self, trash: &Trash, id: &TrashId) -> Result<()> {
        let record = match trash.read(id).await {
            // It was restored, or removed, since it was listed.
            Err(Error::TrashUnknown { .. }) => return Ok(()),
            other => other?,
        };
        self.records += 1;
        let name: Box<str> = record.repository.as_str().into();
        let roots = Arc::make_mut(self.by_repository.entry(name).or_default());
        roots.manifests.extend(record.pointers.named_manifests());
        for layer in &record.pointers.layers {
            roots.layers.insert(layer.digest);
            roots.layers.extend(layer.stored);
        }
        Ok(())
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

    /// What these name and `earlier` did not, repository by repository.
    pub(crate) fn beyond(&self, earlier: &Self) -> Vec<(Box<str>, Arc<Roots>)> {
        let mut new = Vec::new();
        for (name, roots) in &self.by_repository {
            let before = earlier.of(name);
            if **roots == *before {
                continue;
            }
            let manifests = roots.manifests.difference(&before.manifests).copied().collect();
            let layers = roots.layers.difference(&before.layers).copied().collect();
            new.push((name.clone(), Arc::new(Roots { manifests, layers })));
        }
        new
    }
}
