//! A registry that keeps what it deletes for a week, and its plans, for the tests of deletions and of retention.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use wharf_oci::{Digest, PageRequest, RepoName, Tag};
use wharf_registry::{Application, Applied, Deletion, EveryTag, Options, Plan, Registry, TrashRecord};
use wharf_storage::{Storage, layout};

use crate::common::{caller, image, put, tag};

/// A registry over a store, which keeps deletions for a week.
pub(crate) struct Store {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) registry: Arc<Registry>,
}

/// A registry over `storage` that keeps deletions for a week.
pub(crate) fn keeping(storage: Arc<dyn Storage>) -> Arc<Registry> {
    let options = Options {
        delete_enabled: true,
        trash_retention: Duration::from_secs(7 * 86_400),
        ..Options::default()
    };
    Arc::new(Registry::new(storage, options))
}

/// The records of all deletions of `registry`, in the order in which they were made.
pub(crate) async fn records(registry: &Registry) -> Vec<TrashRecord> {
    let page = registry.trash_page(None, 100, None, &|_| true).await.unwrap();
    assert!(page.damaged.is_empty() && !page.more);
    let mut records = Vec::new();
    for found in page.records.into_iter().rev() {
        records.push(registry.trash_record(&found.id).await.unwrap());
    }
    records
}

pub(crate) async fn open(storage: Arc<dyn Storage>, _is_bucket: bool) -> Store {
    Store::over(storage)
}

impl Store {
    pub(crate) fn over(storage: Arc<dyn Storage>) -> Self {
        Self {
            registry: keeping(Arc::clone(&storage)),
            storage,
        }
    }

    pub(crate) async fn image(&self, name: &RepoName, content: &str, reference: &str) -> (Digest, usize) {
        let manifest = image(&self.registry, name, content, "").await;
        let digest = put(&self.registry, name, tag(reference), &manifest).await;
        (digest, manifest.len())
    }

    pub(crate) async fn plan(&self, name: &RepoName, deletion: &Deletion) -> Plan {
        let plan = self.registry.plan_deletion_with_bytes(name, deletion, &EveryTag);
        plan.await.unwrap()
    }

    /// Applies exactly the plan that is made now.
    pub(crate) async fn apply(&self, name: &RepoName, deletion: &Deletion) -> Applied {
        let plan = self.plan(name, deletion).await;
        let application = Application {
            plan: Some(&plan.id),
            now: false,
        };
        let applied = self
            .registry
            .apply_deletion(&caller(), name, deletion, &EveryTag, application)
            .await
            .unwrap();
        assert_eq!(applied.stayed, []);
        assert_eq!(
            applied.tags,
            tags_of(&plan)
                .into_iter()
                .map(|name| tag(&name))
                .collect::<Vec<_>>()
        );
        let planned: Vec<Digest> = plan.manifests.iter().map(|manifest| manifest.digest).collect();
        assert_eq!(applied.manifests, planned);
        assert_eq!(applied.layers, plan.layers);
        applied
    }

    pub(crate) async fn restore(&self, applied: &Applied) {
        let record = applied.record.as_ref().unwrap();
        let restored = self
            .registry
            .restore_from_trash(&caller(), record, false)
            .await
            .unwrap();
        assert_eq!((restored.left_alone, restored.lost), (vec![], vec![]));
    }

    pub(crate) async fn pulled(&self, name: &RepoName, tag: &str) -> Option<Digest> {
        let found = self
            .registry
            .manifest(name, &tag.parse::<Tag>().unwrap().into())
            .await;
        found.ok().map(|manifest| manifest.digest)
    }

    pub(crate) async fn has(&self, name: &RepoName, digest: &Digest) -> bool {
        self.registry.manifest(name, &(*digest).into()).await.is_ok()
    }

    pub(crate) async fn tags(&self, name: &RepoName) -> Vec<String> {
        let tags = self.registry.tags(name, &PageRequest::default()).await;
        tags.unwrap_or_default()
            .names
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The keys below the directory of all repositories.
    pub(crate) async fn keys(&self) -> BTreeSet<String> {
        let objects = self
            .storage
            .scan(&layout::repositories(), None, 10_000)
            .await
            .unwrap()
            .objects;
        objects
            .iter()
            .map(|object| object.key.as_str().to_owned())
            .collect()
    }
}

pub(crate) fn tags_of(plan: &Plan) -> Vec<String> {
    plan.tags.iter().map(|planned| planned.tag.to_string()).collect()
}

pub(crate) fn manifests_of(plan: &Plan) -> BTreeSet<Digest> {
    plan.manifests.iter().map(|manifest| manifest.digest).collect()
}

/// Why the manifest `digest` stays.
#[track_caller]
pub(crate) fn why(plan: &Plan, digest: &Digest) -> String {
    let staying = plan.stays.iter().find(|staying| staying.digest == Some(*digest));
    staying.unwrap_or_else(|| panic!("{plan:?}")).why.to_string()
}
