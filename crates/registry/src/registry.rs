//! The registry itself: its options and its parts. Its operations are in the modules beside this one.

use std::{sync::Arc, time::Duration};

use wharf_budget::Budget;
use wharf_oci::{Descriptor, PageRequest, RepoName, is_referrers_tag};
use wharf_storage::{FoundPage, Storage, elsewhere::Elsewhere};

use crate::{
    coordination::{Pace, Run},
    damaged::DamagedBlobs,
    error::{Error, ReferenceRole, Result},
    events::{Subscriber, Subscribers},
    fallback_turns::FallbackTurns,
    locks::Locks,
    rounds::Rounds,
    rules::{Children, UrlRules},
    sparse::SparseNames,
    trash::{pressure::Pressure, records::Trash},
    tree::{Tree, link::LinkLookups, tags::NamePage},
};

/// Options of a registry that an operator may set.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Whether manifests, tags and blobs may be deleted (`storage.delete.enabled`).
    pub delete_enabled: bool,
    /// Whether the catalogue shows repositories without a tag (decision D5).
    pub show_empty_repositories: bool,
    /// The largest manifest that may be pushed, in bytes.
    pub manifest_limit: usize,
    /// Whether manifests are accepted whose layers, config or children are not (all) in the repository.
    pub allow_missing_references: bool,
    /// Repositories that have only a part of what their manifests name: mirrors, which fetch the rest when a client asks.
    pub sparse: SparseNames,
    /// Whether layers may be stored elsewhere: of a non-distributable media type, or with `urls`.
    pub allow_foreign_layers: bool,
    /// URLs at which layers may be stored.
    pub url_rules: UrlRules,
    /// Which children of an index must be in the repository before it.
    pub required_children: Children,
    /// Whether every manifest with referrers has a fallback tag that lists them, and lists of tags leave these tags out. Without it,
    /// those that are there are kept up to date.
    pub referrers_tags: bool,
    /// How long deletions can be taken back (`trash.retention`); zero: not at all.
    pub trash_retention: Duration,
    /// How much space is to be free before collections give the oldest deletions of the trash up (`trash.pressure`).
    pub trash_pressure: Pressure,
    /// How long the collector keeps what was stored, or told to a client that pushes, and is not needed yet (`collect.grace`).
    pub collect_grace: Duration,
    /// How much time requests, replicas and the collector leave a bucket to agree.
    pub pace: Pace,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delete_enabled: false,
            show_empty_repositories: false,
            manifest_limit: 4 << 20,
            allow_missing_references: false,
            sparse: SparseNames::none(),
            allow_foreign_layers: false,
            url_rules: UrlRules::default(),
            required_children: Children::All,
            referrers_tags: false,
            trash_retention: Duration::ZERO,
            trash_pressure: Pressure::Off,
            collect_grace: Duration::from_secs(3600),
            pace: Pace::Safe,
        }
    }
}

impl Options {
    /// Whether what a manifest of `name` refers to need not be in that repository.
    pub(crate) fn is_optional(&self, name: &RepoName, role: ReferenceRole, descriptor: &Descriptor) -> bool {
        self.sparse.includes(name) || self.is_optional_anywhere(role, descriptor)
    }

    /// Whether what a manifest refers to need not be in its repository, also where that is not [sparse](Self::sparse).
    pub(crate) fn is_optional_anywhere(&self, role: ReferenceRole, descriptor: &Descriptor) -> bool {
        self.allow_missing_references
            || (role.may_be_elsewhere() && descriptor.is_foreign() && self.allow_foreign_layers)
            || (role.is_entry() && !self.required_children.include(descriptor))
    }
}

/// A registry over a store. Many requests use it at once.
#[derive(Debug)]
pub struct Registry {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    pub(crate) tree: Tree,
    pub(crate) damaged: DamagedBlobs,
    pub(crate) locks: Locks,
    pub(crate) trash: Trash,
    pub(crate) catalog_rounds: Rounds<PageRequest, NamePage>,
    pub(crate) subscribers: Subscribers,
    pub(crate) fallback_turns: FallbackTurns,
    pub(crate) elsewhere: Elsewhere,
    budget: Budget,
}

impl Registry {
    /// A registry over `storage`. Does no I/O.
    pub fn new(storage: Arc<dyn Storage>, options: Options) -> Self {
        let budget = Budget::default();
        Self {
            tree: Tree::new(&storage, &budget),
            damaged: DamagedBlobs::new(),
            locks: Locks::new(Arc::clone(&storage), options.collect_grace, options.pace),
            trash: trash(&storage, &options, &budget),
            catalog_rounds: Rounds::default(),
            subscribers: Subscribers::default(),
            fallback_turns: FallbackTurns::new(),
            elsewhere: Elsewhere::default(),
            budget,
            storage,
            options,
        }
    }

    /// Reports what happens from now on to `subscriber`, too.
    #[must_use]
    pub fn with_subscriber(mut self, subscriber: Arc<dyn Subscriber>) -> Self {
        self.subscribers.add(subscriber);
        self
    }

    /// Charges what clients use to `budget`, in place of a budget of its own.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.tree = Tree::new(&self.storage, &budget);
        self.trash = trash(&self.storage, &self.options, &budget);
        self.budget = budget;
        self
    }

    /// Clients that are not sent a blob read it where `elsewhere` says, in place of the store itself.
    #[must_use]
    pub fn with_elsewhere(mut self, elsewhere: Elsewhere) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// The budget that operations are charged to.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The options that it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How often links were looked up so far. Lookups that end meanwhile may be in one number and not in the other.
    pub fn link_lookups(&self) -> LinkLookups {
        self.tree.links.lookups()
    }

    /// The tags of `name` after `page.last`: `page.n` of them, or all. With [`Options::referrers_tags`] fallback tags are left out.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`] when there is no such repository; errors of the store.
    pub async fn tags(&self, name: &RepoName, page: &PageRequest) -> Result<NamePage> {
        let page = self.shown_tags(name, page).await?;
        page.ok_or_else(|| Error::NameUnknown { name: name.clone() })
    }

    /// As [`tags`](Self::tags); `None` when there is no such repository.
    pub(crate) async fn shown_tags(&self, name: &RepoName, page: &PageRequest) -> Result<Option<NamePage>> {
        let page = self.found_tags(name, page, 0).await?;
        Ok(page.map(|page| NamePage {
            names: page.found.into_iter().map(|tag| tag.name).collect(),
            more: page.more,
        }))
    }

    /// As [`shown_tags`](Self::shown_tags), with what the store tells by the way of their links, and of so many `others` of the objects of
    /// each.
    pub(crate) async fn found_tags(
        &self,
        name: &RepoName,
        page: &PageRequest,
        others: usize,
    ) -> Result<Option<FoundPage>> {
        let shown: fn(&str) -> bool = match self.options.referrers_tags {
            true => |tag| !is_referrers_tag(tag),
            false => |_| true,
        };
        self.tree.tags.page(name, page, shown, others).await
    }

    /// Begins a run of the collector beside requests of this process, and of others that share the store; `None` when
    /// another run may be under way.
    ///
    /// # Errors
    ///
    /// [`Error::NotCollectable`] where the store does not keep what removals rely on; errors of the store.
    pub async fn begin_collection(&self) -> Result<Option<Run>> {
        self.locks.begin_run().await
    }

    /// Refuses a deletion when deleting is switched off.
    pub(crate) fn require_delete(&self) -> Result<()> {
        if self.options.delete_enabled {
            Ok(())
        } else {
            Err(Error::DeleteDisabled)
        }
    }
}

/// The trash of a registry with these `options`, charged to `budget`.
fn trash(storage: &Arc<dyn Storage>, options: &Options, budget: &Budget) -> Trash {
    let large_reads = budget.large_reads.clone();
    Trash::new(Arc::clone(storage), options.trash_retention, large_reads)
}
