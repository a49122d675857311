//! `wharf uploads`: lists unfinished uploads, and removes those that no client goes on with.

use std::{
    io::{self, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use tokio::runtime;
use wharf_registry::{Options, Registry};
use wharf_storage::ListedUpload;

use super::offline::{self, Work};
use crate::config::{self, Engine};

const LIST: Work = Work {
    cannot: "cannot look at uploads",
    cannot_read: "cannot list uploads",
    ..PURGE
};

const PURGE: Work = Work {
    cannot: "cannot remove uploads",
    cannot_read: "cannot look for uploads; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot remove uploads while a server runs, which may be taking them",
    instead: "the server itself removes those older than `storage.maintenance.uploadpurging.age`. `--dry-run` says how many \
              would go, and needs no stop",
    in_memory: "keeps them in the memory of the server, and loses them when the server stops",
};

/// Prints the unfinished uploads, those untouched for longest first.
pub(crate) fn list(config: Option<&Path>) -> anyhow::Result<()> {
    let engine = engine(config)?;
    run(async {
        let storage = offline::open_to_read(&engine, &LIST).await?;
        let listed = storage.list_uploads().await.context("cannot list uploads")?;
        let mut uploads: Vec<ListedUpload> = listed.try_collect().await.context("cannot list uploads")?;
        uploads.sort_unstable_by_key(ListedUpload::touched);
        let now = SystemTime::now();
        for upload in &uploads {
            let untouched = now.duration_since(upload.touched()).unwrap_or_default();
            let (repository, id, size) = (upload.repository(), upload.id(), upload.size());
            print(&format!("{repository}\t{id}\t{size}\t{}", readable(untouched)))?;
        }
        Ok(())
    })
}

/// Removes the uploads that were not touched for `age`, or with `dry_run` prints how many these are.
pub(crate) fn purge(config: Option<&Path>, age: Duration, dry_run: bool) -> anyhow::Result<()> {
    let engine = engine(config)?;
    run(async {
        // A server on a directory holds uploads in its memory, where another process does not see it: so none is removed
        // beside a server.
        let storage = match dry_run {
            true => offline::open_to_read(&engine, &PURGE).await?,
            false => offline::open(&engine, &PURGE).await?,
        };
        let registry = Registry::new(storage, Options::default());
        let (count, what) = match dry_run {
            true => (registry.abandoned_uploads(age).await, "would be removed"),
            false => (registry.purge_uploads(age).await, "removed"),
        };
        let count = count.context("cannot list uploads")?;
        print(&format!("{count} unfinished upload(s) {what}"))
    })
}

/// The store of the configuration.
fn engine(config: Option<&Path>) -> anyhow::Result<Engine> {
    let settings = config::load(config)?;
    crate::log::start(settings.log)?;
    Ok(settings.storage)
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(work)
}

/// A duration in its largest whole unit, such as `3h`.
fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn print(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_readable() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7199, "1h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(readable(Duration::from_secs(seconds)), expected);
        }
    }
}
