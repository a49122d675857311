//! What a registry means: repositories, uploads, manifests, tags, referrers, deletion. No HTTP, no files.
//!
//! Everything here reads and writes the storage tree and believes nothing else. What is cached is
//! either keyed by digest, and so immutable, or compared with the tree at every use.

mod blobs;
mod catalog;
pub mod collect;
mod delete;
mod error;
mod graph;
mod links;
mod locks;
mod manifests;
mod referrers;
mod rules;
mod tags;
mod uploads;

pub use blobs::{BlobInfo, OpenBlob};
pub use error::{Error, MissingReference, ReferenceRole, Result};
pub use links::LinkLookups;
pub use manifests::{PushedManifest, StoredManifest};
pub use referrers::ReferrersPage;
pub use rules::{Children, UrlRules};
pub use tags::NamePage;
pub use uploads::UploadSession;

use std::sync::Arc;

use wharf_storage::Storage;

/// How many entries a cache has room for before it grows: an idle registry is to be small.
const FEW: usize = 256;

/// How a registry behaves, as far as an operator may choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Whether manifests, tags and blobs may be deleted (`storage.delete.enabled`).
    pub delete_enabled: bool,
    /// Whether the catalogue shows repositories without a tag (decision D5).
    pub show_empty_repositories: bool,
    /// The largest manifest that may be pushed, in bytes.
    pub manifest_limit: usize,
    /// Accept manifests whose layers, config or children are not (all) in the repository.
    pub allow_missing_references: bool,
    /// Accept layers that lie elsewhere: of a non-distributable media type, or with `urls`.
    pub allow_foreign_layers: bool,
    /// At which URLs layers may lie.
    pub url_rules: UrlRules,
    /// Which children of an index must be in the repository before it.
    pub required_children: Children,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delete_enabled: false,
            show_empty_repositories: false,
            manifest_limit: 4 << 20,
            allow_missing_references: false,
            allow_foreign_layers: false,
            url_rules: UrlRules::default(),
            required_children: Children::All,
        }
    }
}

/// A registry over a store. Many requests use it at once.
#[derive(Debug)]
pub struct Registry {
    storage: Arc<dyn Storage>,
    options: Options,
    links: links::LinkCache,
    manifests: manifests::ManifestCache,
    graphs: graph::GraphCache,
    unresolved_tags: tags::UnresolvedTags,
    damaged: blobs::DamagedBlobs,
    locks: locks::Locks,
    catalog_rounds: catalog::Rounds,
}

impl Registry {
    /// A registry over `storage`. Does no I/O.
    pub fn new(storage: Arc<dyn Storage>, options: Options) -> Self {
        Self {
            storage,
            options,
            links: links::LinkCache::new(),
            manifests: manifests::ManifestCache::new(),
            graphs: graph::GraphCache::new(),
            unresolved_tags: tags::UnresolvedTags::new(),
            damaged: blobs::DamagedBlobs::new(),
            locks: locks::Locks::new(),
            catalog_rounds: catalog::Rounds::default(),
        }
    }

    /// How it behaves.
    pub fn options(&self) -> &Options {
        &self.options
    }
}
