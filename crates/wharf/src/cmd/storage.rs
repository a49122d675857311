//! `wharf storage copy`: copies a registry from one store into another, beside the server that serves it.

mod output;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tokio::runtime;
use wharf_registry::copy::{Copier, CopyOptions};
use wharf_storage::{ErrorKind, Storage, fs::FsStorage, layout, object::ObjectStorage};

use self::output::Output;
use super::offline::{self, Work};
use crate::{
    cli::StorageCopy,
    config::{self, Engine},
};

const FROM: Work = Work {
    cannot: "cannot copy",
    cannot_read: "cannot read the registry that is to be copied",
    // The source is only read.
    cannot_beside: "",
    instead: "",
    in_memory: "keeps the data in the memory of the server, where nothing else can read it or write to it",
};

const TO: Work = Work {
    cannot_read: "cannot look at the place to copy to",
    ..FROM
};

/// Copies, or with `--dry-run` prints what would be copied. Exit code 1 when something failed.
pub(crate) fn copy(arguments: &StorageCopy) -> anyhow::Result<ExitCode> {
    let (from, to) = (Place::find(&arguments.from)?, Place::find(&arguments.to)?);
    from.require_other(&to)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .context("cannot start")?
        .block_on(run(&from, &to, arguments))
}

async fn run(from: &Place, to: &Place, arguments: &StorageCopy) -> anyhow::Result<ExitCode> {
    let source = open_source(from).await?;
    let destination = open_destination(to, arguments.dry_run).await?;
    let options = CopyOptions {
        dry_run: arguments.dry_run,
        verify: arguments.verify,
        ..CopyOptions::default()
    };
    let at_once = options.at_once.min(offline::part_buffers(&to.engine));
    let copier = Copier::new(source, destination, CopyOptions { at_once, ..options });
    let mut output = Output::new(copier.progress(), arguments);
    let copied = output.follow(copier.run()).await;
    let report = copied
        .context("the copy ended half-way; what was copied stays, and is not sent again by the next run")?;
    output.report(&report, (&from.name(), &to.name()))?;
    Ok(match report.counts.failed() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Opens the source to read. One that has no registry is an error: a wrong name must not look like an empty registry.
async fn open_source(from: &Place) -> anyhow::Result<Arc<dyn Storage>> {
    let source = offline::open_to_read(&from.engine, &FROM).await?;
    let repositories = layout::repositories();
    for directory in [layout::blobs(), repositories.clone()] {
        let page = source.list(&directory, None, 1).await.context(FROM.cannot_read)?;
        if !page.entries.is_empty() {
            return Ok(source);
        }
    }
    let name = from.name();
    bail!(
        "cannot copy: there is no registry in `{name}`, no `{repositories}`; name the directory that holds `docker`, or a \
         configuration that does"
    )
}

/// Opens the destination, exclusively if it is a directory.
async fn open_destination(to: &Place, dry_run: bool) -> anyhow::Result<Arc<dyn Storage>> {
    let root = match &to.engine {
        Engine::S3(_) | Engine::Cloud(_) | Engine::InMemory => {
            return offline::open_to_read(&to.engine, &TO).await;
        }
        Engine::Filesystem { root } => root,
    };
    if dry_run {
        return match FsStorage::open_to_read(root) {
            // As empty as the directory will be.
            Err(error) if error.is_not_found() => Ok(Arc::new(ObjectStorage::in_memory())),
            opened => Ok(Arc::new(opened.context(TO.cannot_read)?)),
        };
    }
    match FsStorage::open(root) {
        Err(error) if error.kind() == ErrorKind::Locked => {
            bail!("cannot copy into a directory that a server uses: {error}; start it again after the copy")
        }
        opened => Ok(Arc::new(opened.context(TO.cannot)?)),
    }
}

/// A store that the command line names.
struct Place {
    engine: Engine,
    /// The configuration that names it; `None` when the command line names the directory itself.
    configuration: Option<PathBuf>,
}

impl Place {
    /// A directory, or the store of a configuration.
    fn find(word: &Path) -> anyhow::Result<Self> {
        if word.is_dir() {
            return Ok(Self {
                engine: Engine::Filesystem {
                    root: word.to_owned(),
                },
                configuration: None,
            });
        }
        let name = word.display();
        if name.to_string().starts_with("s3://") {
            bail!(
                "`{name}`: a bucket is named by the configuration of its server, a file with \
                 `storage: {{s3: {{bucket: NAME, region: REGION}}}}`"
            );
        }
        if !word.exists() {
            bail!(
                "`{name}` does not exist; name the configuration of a registry, or a directory (an empty one to copy into: \
                 `mkdir -p {name}`)"
            );
        }
        let settings = config::load(Some(word))?;
        Ok(Self {
            engine: settings.storage,
            configuration: Some(word.to_owned()),
        })
    }

    /// The store, as operators read it.
    fn name(&self) -> String {
        match &self.engine {
            Engine::Filesystem { root } => root.display().to_string(),
            Engine::S3(bucket) => bucket.place(),
            Engine::Cloud(bucket) => bucket.place(),
            Engine::InMemory => "memory".to_owned(),
        }
    }

    /// Fails when `to` is the same store.
    fn require_other(&self, to: &Self) -> anyhow::Result<()> {
        let is_same = match (&self.engine, &to.engine) {
            (Engine::Filesystem { root: one }, Engine::Filesystem { root: other }) => {
                one == other
                    || one
                        .canonicalize()
                        .ok()
                        .is_some_and(|one| other.canonicalize().ok() == Some(one))
            }
            _ => self.name() == to.name(),
        };
        if !is_same {
            return Ok(());
        }
        let hint = match self.configuration.is_some() && to.configuration.is_some() {
            true => "; variables `REGISTRY_STORAGE_…` of the environment hold for both configurations",
            false => "",
        };
        bail!("cannot copy `{}` onto itself{hint}", self.name())
    }
}
