//! `wharf backup`: takes backups of a registry beside its server, lists them, and checks them.

mod file;
mod output;
mod place;
mod settings;

pub(super) use self::{
    output::{Output, print},
    place::Place,
};

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use rustix::{fs::Mode, process::umask};
use tokio::runtime;
use wharf_registry::backup::{self, Counts, Found, Source, TakeOptions, TakeReport, Taker, VerifyReport};
use wharf_storage::Storage;

use super::{
    offline::{self, Work},
    size::readable,
};
use crate::{
    cli::{Backup, BackupCommand, Take, Verify},
    config,
};

const FROM: Work = Work {
    cannot: "cannot back up",
    cannot_read: "cannot read the registry that is to be backed up; does `storage.filesystem.rootdirectory` name the right directory?",
    // The source is only read.
    cannot_beside: "",
    instead: "",
    in_memory: "keeps the data in the memory of the server, where nothing else can read it",
};

/// Exit code 1 when something of the registry, or of the backup, is not whole.
pub(crate) fn run(arguments: &Backup) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        None => take(&arguments.take),
        Some(BackupCommand::Verify(arguments)) => verify(arguments),
        Some(BackupCommand::Ls {
            target,
            repositories,
            snapshot,
            json,
        }) => list(target, *repositories, snapshot.as_deref(), *json),
    }
}

fn take(arguments: &Take) -> anyhow::Result<ExitCode> {
    let Some(to) = &arguments.to else {
        bail!("name the place to back up to: `--to TARGET`");
    };
    // Passwords and keys are in it.
    umask(Mode::from_raw_mode(0o077));
    let settings = config::load(arguments.config.as_deref())?;
    let saved = match arguments.without_settings {
        true => Vec::new(),
        false => settings::files(&settings)?,
    };
    let options = TakeOptions {
        repositories: arguments.repository.clone(),
        settings: saved,
        with_tokens: arguments.with_tokens,
        ..TakeOptions::default()
    };
    block_on(async {
        let source = offline::open_to_read(&settings.storage, &FROM).await?;
        let since = match &arguments.since {
            Some(since) => Some(place::base(since).await?),
            None => None,
        };
        let place = Place::to_write(to)?;
        let at_once = options.at_once.min(place.part_buffers());
        let options = TakeOptions { at_once, ..options };
        let (target, file) = place.target(since).await?;
        let report = take_to(source, target, options, arguments).await?;
        if let Some(file) = file {
            file.keep()?;
        }
        match (arguments.json, arguments.quiet) {
            (true, _) => print(&format!("{:#}\n", serde_json::to_value(&report)?))?,
            (false, true) => {}
            (false, false) => print(&taken(&report, &place.name()))?,
        }
        Ok(match report.counts.left_out {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    })
}

async fn take_to(
    source: Arc<dyn Storage>,
    target: backup::Target,
    options: TakeOptions,
    arguments: &Take,
) -> anyhow::Result<TakeReport> {
    let taker = Taker::new(source, target, options)
        .await
        .context("cannot back up")?;
    let output = Output::new(taker.progress(), arguments.quiet, "written");
    let taken = output.follow(taker.run()).await;
    taken.map_err(|error| {
        let hint = match error.is_full() {
            true => ": the place is full; make room, or name another one, and run this again",
            false => "",
        };
        anyhow::Error::from(error).context(format!(
            "the backup ended half-way, and has no snapshot of this run{hint}"
        ))
    })
}

fn taken(report: &TakeReport, place: &str) -> String {
    let counts = &report.counts;
    let mut text = format!(
        "snapshot     {}\nin           {place}\nrepositories {}, with {} tags and {} manifests\nblobs        {} written ({}), {} there already\n",
        report.snapshot,
        counts.repositories,
        counts.tags,
        counts.manifests,
        counts.blobs,
        readable(counts.bytes),
        counts.blobs_there
    );
    if report.settings > 0 {
        text.push_str(&format!(
            "settings     {} file(s) of the server, with secrets in them: keep the backup as safe as the server\n",
            report.settings
        ));
    }
    if counts.dangling > 0 {
        text.push_str(&format!(
            "left out: {} link(s) of layers that are not stored\n",
            counts.dangling
        ));
    }
    text.push_str(&conclusion(
        counts,
        "incomplete: ",
        "of the registry could not be saved, for the reasons above",
        "complete",
    ));
    text
}

fn conclusion(counts: &Counts, incomplete: &str, what: &str, complete: &str) -> String {
    match counts.left_out {
        0 => format!("{complete}\n"),
        count => format!("{incomplete}{count} image(s), tag(s) or repositories {what}\n"),
    }
}

/// Checks a backup.
pub(crate) fn verify(arguments: &Verify) -> anyhow::Result<ExitCode> {
    block_on(async {
        let source = Place::to_read(&arguments.target)?.source().await?;
        let base = place::find_base(&source, &arguments.target, arguments.base.as_deref()).await?;
        let progress = Arc::default();
        let output = Output::new(Arc::clone(&progress), arguments.quiet, "read");
        let verified = backup::verify(&source, base.as_ref(), arguments.snapshot.as_deref(), &progress);
        let report = output.follow(verified).await?;
        match (arguments.json, arguments.quiet) {
            (true, _) => print(&format!("{:#}\n", serde_json::to_value(&report)?))?,
            (false, true) => {}
            (false, false) => print(&verified_text(&report))?,
        }
        Ok(match report.problems {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    })
}

fn verified_text(report: &VerifyReport) -> String {
    let counts = &report.counts;
    let mut text = format!(
        "snapshots    {}\nrepositories {}, with {} tags and {} manifests that are whole\nblobs        {} read ({})\n",
        report.snapshots.len(),
        counts.repositories,
        counts.tags,
        counts.manifests,
        counts.blobs,
        readable(counts.bytes)
    );
    text.push_str(&match report.problems {
        0 => "whole: every byte is as it was written\n".to_owned(),
        count => format!("damaged: {count} problem(s), for which see above\n"),
    });
    text
}

fn list(target: &Path, repositories: bool, wanted: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    block_on(async {
        let source = Place::to_read(target)?.source().await?;
        if repositories {
            let (id, snapshot) = source.snapshot(wanted).await?;
            let text = match json {
                true => format!(
                    "{:#}\n",
                    serde_json::json!({"id": id, "repositories": snapshot.repositories})
                ),
                false => snapshot
                    .repositories
                    .iter()
                    .map(|saved| {
                        format!(
                            "{}\t{} tags\t{} manifests\n",
                            saved.name, saved.tags, saved.manifests
                        )
                    })
                    .collect(),
            };
            print(&text)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut found = source.snapshots().await?;
        found.retain(|one| wanted.is_none_or(|wanted| one.id.starts_with(wanted)));
        let is_whole = found.iter().all(|one| one.snapshot.is_ok());
        let text = match json {
            true => format!("{:#}\n", serde_json::Value::from_iter(found.iter().map(in_json))),
            false => found.iter().map(line).collect(),
        };
        print(&text)?;
        Ok(match is_whole {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

fn in_json(found: &Found) -> serde_json::Value {
    match &found.snapshot {
        Ok(snapshot) => serde_json::json!({"id": found.id, "snapshot": snapshot}),
        Err(error) => serde_json::json!({"id": found.id, "error": error.to_string()}),
    }
}

fn line(found: &Found) -> String {
    let id = &found.id;
    let snapshot = match &found.snapshot {
        Ok(snapshot) => snapshot,
        Err(error) => return format!("{id}\t{error}\n"),
    };
    let tags: u64 = snapshot.repositories.iter().map(|saved| saved.tags).sum();
    let mut text = format!(
        "{id}\t{} repositories\t{tags} tags\t{} settings",
        snapshot.repositories.len(),
        snapshot.settings.len()
    );
    if snapshot.left_out > 0 {
        text.push_str(&format!("\tincomplete: {} left out", snapshot.left_out));
    }
    if let Some(base) = &snapshot.base {
        text.push_str(&format!("\tbuilds on {}", base.name));
    }
    text.push('\n');
    text
}

/// Runs a command on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(work)
}

/// The backup that a file builds on, if it does.
pub(super) async fn base_of(
    source: &Source,
    path: &Path,
    named: Option<&Path>,
) -> anyhow::Result<Option<Source>> {
    place::find_base(source, path, named).await
}
