//! `storage`: where the data lies, whether it may be deleted, and when unfinished uploads are forgotten.

use std::time::Duration;

use super::{Purge, Storage, raw::Section};

/// Without any configuration: beside where one stands.
const DEFAULT_ROOT: &str = "./data";

/// Of `storage.filesystem` without a directory, as registry:2 has it.
pub(super) const REGISTRY_2_ROOT: &str = "/var/lib/registry";

/// What `storage` says.
pub(super) struct Read {
    /// `None`: what is wrong has been said.
    pub(super) engine: Option<Storage>,
    pub(super) delete_enabled: Option<bool>,
    pub(super) purge: Option<Purge>,
    pub(super) read_only: bool,
}

/// Without a file, no engine is missed: there is a default.
pub(super) fn read(mut storage: Section<'_>, has_file: bool) -> Read {
    let delete_enabled = delete_enabled(&mut storage);
    let (purge, read_only) = maintenance(&mut storage);
    Read {
        delete_enabled,
        purge,
        read_only,
        engine: engine(storage, has_file),
    }
}

fn delete_enabled(storage: &mut Section<'_>) -> Option<bool> {
    let mut delete = storage.section("delete");
    let is_enabled = delete.boolean("enabled");
    delete.finish();
    is_enabled
}

/// When to forget unfinished uploads, and whether nothing may be changed.
fn maintenance(storage: &mut Section<'_>) -> (Option<Purge>, bool) {
    const HOUR: Duration = Duration::from_secs(3600);

    let mut maintenance = storage.section("maintenance");
    let mut read_only = maintenance.section("readonly");
    let is_read_only = read_only.boolean("enabled").unwrap_or(false);
    read_only.finish();
    let mut purging = maintenance.section("uploadpurging");
    let is_enabled = purging.boolean("enabled").unwrap_or(true);
    let is_dry = purging.boolean("dryrun").unwrap_or(false);
    let purge = Purge {
        age: purging.duration("age").unwrap_or(168 * HOUR),
        interval: purging
            .duration("interval")
            .unwrap_or(24 * HOUR)
            .max(Duration::from_secs(60)),
    };
    if is_dry && is_enabled {
        purging.warning(
            "dryrun",
            "means here that unfinished uploads are kept; what would go is not listed yet",
        );
    }
    purging.finish();
    maintenance.finish();
    let purge = (is_enabled && !is_dry && !is_read_only).then_some(purge);
    (purge, is_read_only)
}

/// The one section of `storage` that names where the data lies.
fn engine(mut storage: Section<'_>, has_file: bool) -> Option<Storage> {
    // We keep our own caches, never redirect, and bound our threads ourselves.
    storage.ignore(&["cache", "redirect", "tag"]);
    let mut engines = Vec::new();
    if storage.has("inmemory") {
        storage.ignore(&["inmemory"]);
        engines.push(Storage::InMemory);
    }
    if storage.has("filesystem") {
        let mut filesystem = storage.section("filesystem");
        let root = filesystem
            .string("rootdirectory")
            .unwrap_or_else(|| REGISTRY_2_ROOT.to_owned());
        filesystem.ignore(&["maxthreads"]);
        filesystem.finish();
        engines.push(Storage::Filesystem { root: root.into() });
    }
    for name in storage.names() {
        let is_engine = matches!(
            &*name,
            "s3" | "s3aws" | "azure" | "gcs" | "oss" | "swift" | "rados"
        );
        if is_engine {
            storage.refuse(
                &name,
                "is not supported yet; use `storage.filesystem`, or stay with registry:2 for now",
            );
            // What is wrong has been said; no other engine is missed.
            engines.push(Storage::InMemory);
        }
    }
    if engines.len() > 1 {
        storage.problem("storage", "must name one place for the data, not several");
    }
    let engine = engines.pop();
    if engine.is_none() && has_file {
        storage.problem("filesystem", "is missing; say where the data lies: `storage: {filesystem: {rootdirectory: /var/lib/registry}}`");
    }
    storage.finish();
    engine.or_else(|| {
        (!has_file).then(|| Storage::Filesystem {
            root: DEFAULT_ROOT.into(),
        })
    })
}
