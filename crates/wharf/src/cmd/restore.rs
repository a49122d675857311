//! `wharf restore`: brings a backup, or a tar of a data directory, into a registry that no server uses.

mod nested;
mod settings;

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use wharf_registry::backup::{RestoreOptions, RestoreReport, Restorer, Selection};
use wharf_storage::{ErrorKind, Storage, fs::FsStorage, object::ObjectStorage};

use super::{
    backup::{Output, Place, base_of, block_on, print},
    offline::{self, Work},
    size::readable,
};
use crate::{
    cli::Restore,
    config::{self, Engine},
};

const TO: Work = Work {
    cannot: "cannot restore",
    cannot_read: "cannot look at the place to restore to",
    cannot_beside: "cannot restore while a server runs",
    instead: "start it again after the restore. `--dry-run` says what would be restored, and needs no stop; `--to DIRECTORY` restores to \
              another directory",
    in_memory: "keeps the data in the memory of the server, where nothing can be restored to",
};

/// How many blobs are on their way at once.
const AT_ONCE: usize = 16;

/// Exit code when tags were left alone.
const NEWER: u8 = 3;

/// Restores, or with `--dry-run` prints what would be restored.
pub(crate) fn run(arguments: &Restore) -> anyhow::Result<ExitCode> {
    let engine = match &arguments.to {
        Some(root) => Engine::Filesystem { root: root.clone() },
        None => config::load(arguments.config.as_deref())?.storage,
    };
    if arguments.fix_nesting {
        return nested::fix(&engine, arguments.dry_run);
    }
    let Some(source) = &arguments.source else {
        bail!("name the backup that is to be restored");
    };
    block_on(restore(source, &engine, arguments))
}

async fn restore(path: &Path, engine: &Engine, arguments: &Restore) -> anyhow::Result<ExitCode> {
    let place = Place::to_read(path)?;
    require_other(&place, engine)?;
    let source = place.source().await?;
    let base = base_of(&source, path, arguments.base.as_deref()).await?;
    let to = open(engine, arguments.dry_run).await?;
    let options = RestoreOptions {
        snapshot: arguments.snapshot.clone(),
        selection: match &arguments.repository {
            Some(name) => Selection::One(name.clone(), arguments.new_name.clone()),
            None => Selection::All,
        },
        force: arguments.force,
        dry_run: arguments.dry_run,
        at_once: AT_ONCE.min(offline::part_buffers(engine)),
    };
    let restorer = Restorer::new(source, base, to, options);
    let output = Output::new(restorer.progress(), arguments.quiet, "restored");
    let restored = output.follow(restorer.run()).await;
    let (report, files) = restored.map_err(|error| {
        let hint = match error.is_full() {
            true => ": the place is full; make room, and run this again",
            false => "",
        };
        anyhow::Error::from(error).context(format!(
            "the restore ended half-way, what was restored is whole{hint}"
        ))
    })?;
    let settings = match &arguments.to {
        Some(directory) if !arguments.dry_run && arguments.repository.is_none() => {
            settings::write(directory, &files)?
        }
        _ => settings::Written::default(),
    };
    match (arguments.json, arguments.quiet) {
        (true, _) => {
            let mut json = serde_json::to_value(&report)?;
            json["settings"] = serde_json::json!(settings.written);
            print(&format!("{json:#}\n"))?;
        }
        (false, true) => {}
        (false, false) => print(&summary(&report, &settings, arguments))?,
    }
    Ok(match (report.counts.left_out, report.newer) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(NEWER),
        _ => ExitCode::FAILURE,
    })
}

/// Opens the registry to restore to, which no server may use meanwhile.
async fn open(engine: &Engine, is_dry: bool) -> anyhow::Result<Arc<dyn Storage>> {
    let Engine::Filesystem { root } = engine else {
        return match is_dry {
            true => offline::open_to_read(engine, &TO).await,
            false => offline::open(engine, &TO).await,
        };
    };
    if is_dry {
        return match FsStorage::open_to_read(root) {
            // As empty as the directory will be.
            Err(error) if error.is_not_found() => Ok(Arc::new(ObjectStorage::in_memory())),
            opened => Ok(Arc::new(opened.context(TO.cannot_read)?)),
        };
    }
    match FsStorage::open(root) {
        Err(error) if error.kind() == ErrorKind::Locked => {
            bail!("{}: {error}; {}", TO.cannot_beside, TO.instead)
        }
        opened => Ok(Arc::new(opened.context(TO.cannot)?)),
    }
}

/// Fails when the backup lies where the registry is to be.
fn require_other(place: &Place, engine: &Engine) -> anyhow::Result<()> {
    let (Place::Directory(source), Engine::Filesystem { root }) = (place, engine) else {
        return Ok(());
    };
    let is_same = source == root
        || source
            .canonicalize()
            .ok()
            .is_some_and(|source| root.canonicalize().ok() == Some(source));
    match is_same {
        true => bail!(
            "cannot restore `{}` to itself; name another directory with `--to`",
            root.display()
        ),
        false => Ok(()),
    }
}

fn summary(report: &RestoreReport, settings: &settings::Written, arguments: &Restore) -> String {
    let (counts, is_dry) = (&report.counts, arguments.dry_run);
    let restored = if is_dry { "to restore" } else { "restored" };
    let mut text = match &report.snapshot {
        Some(snapshot) => format!("snapshot     {snapshot}\n"),
        None => "snapshot     none: a tar of a data directory\n".to_owned(),
    };
    text.push_str(&format!(
        "repositories {}, with {} manifests\nblobs        {} {restored} ({}), {} there already\ntags         {} {restored}, {} there already\n",
        counts.repositories,
        counts.manifests,
        counts.blobs,
        readable(counts.bytes),
        counts.blobs_there,
        report.restored,
        report.unchanged
    ));
    if !settings.written.is_empty() {
        text.push_str(&format!(
            "settings     {} in `{}`\n",
            settings.written.join(", "),
            settings.directory
        ));
    }
    let mut left = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("left alone: {count} {what}\n"));
        }
    };
    left(
        report.newer,
        "tag(s) that point elsewhere by now; `--force` moves them to where the backup has them",
    );
    left(
        report.kept,
        "key(s) or robot tokens that the registry has already",
    );
    left(settings.existing, "file(s) of the server that exist already");
    text.push_str(&match (counts.left_out, is_dry) {
        (0, true) => String::new(),
        (0, false) => "complete\n".to_owned(),
        (count, _) => format!("incomplete: {count} image(s), tag(s) or repositories could not be restored, for the reasons above\n"),
    });
    text
}
