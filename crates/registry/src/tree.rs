//! The one reading of the tree: repositories, tags, manifests, layers, links, and what manifests refer to.
//!
//! Requests read it strictly: a damaged link or manifest counts as absent, with a line in the log, and an error of the
//! store ends the request. The collector, and other readers of the whole tree, read it tolerantly: damage is a
//! part of the answer ([`Link::Damaged`], [`Stored::Unreadable`]), because it decides what must be kept.
//!
//! Reads of many links or manifests are under way [`PARALLEL`] at once, so that on a bucket they do not wait for one
//! round trip after the other.

pub(crate) mod configs;
pub(crate) mod directory;
pub(crate) mod graph;
pub(crate) mod histories;
pub(crate) mod link;
pub(crate) mod manifest;
pub(crate) mod parallel;
pub(crate) mod repositories;
pub(crate) mod scan;
pub(crate) mod tags;
pub(crate) mod unreadable;
pub(crate) mod words;

use std::sync::Arc;

use wharf_budget::Budget;
use wharf_storage::Storage;

use self::{
    configs::Configs, graph::Graphs, link::Links, manifest::Manifests, tags::Tags, unreadable::Unreadable,
};

#[cfg(doc)]
use self::{link::Link, manifest::Stored, parallel::PARALLEL};

/// The strict readers of requests, with their caches. No cache can hide a change by another process: each
/// entry is immutable under its digest, or is compared with the tree at every use.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) links: Arc<Links>,
    pub(crate) manifests: Arc<Manifests>,
    pub(crate) configs: Arc<Configs>,
    pub(crate) graphs: Graphs,
    pub(crate) tags: Tags,
    pub(crate) unreadable: Arc<Unreadable>,
}

impl Tree {
    /// Reads `storage`, as much at once as `budget` permits. Does no I/O.
    pub(crate) fn new(storage: &Arc<dyn Storage>, budget: &Budget) -> Self {
        let links = Arc::new(Links::new(Arc::clone(storage)));
        let large_reads = || budget.large_reads.clone();
        Self {
            configs: Arc::new(Configs::new(
                Arc::clone(storage),
                Arc::clone(&links),
                large_reads(),
            )),
            links,
            manifests: Arc::new(Manifests::new(Arc::clone(storage), large_reads())),
            graphs: Graphs::new(Arc::clone(storage), budget),
            tags: Tags::new(Arc::clone(storage)),
            unreadable: Arc::default(),
        }
    }
}
