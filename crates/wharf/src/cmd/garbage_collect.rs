//! `wharf garbage-collect`: garbage collection with the output of registry:2, by the server that runs, or else by the command.

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use http::Method;
use tokio::runtime;
use wharf_registry::collect::{CollectOptions, Collector, Finding, Garbage, Mark, RepositoryMarks};
use wharf_server::admin::wire;
use wharf_storage::{Storage, layout};

use super::{
    gc,
    offline::{self, Work},
    size::readable,
};
use crate::{
    cli::{Cli, GarbageCollect},
    config::{self, Engine},
    control::RunningServer,
};

const WORK: Work = Work {
    cannot: "cannot collect",
    cannot_read: "cannot collect",
    cannot_beside: "cannot collect while a server runs",
    instead: "then run this again and start the server after it. `--dry-run` says what would go, and needs no stop",
    in_memory: "keeps the data in the memory of the server, and loses it when the server stops; restart the server to empty it",
};

/// Least number of threads: hard disks are faster with four readers than with one.
const LEAST_THREADS: usize = 4;

/// Collects, or with `--dry-run` prints what would be collected.
pub(crate) fn run(arguments: &GarbageCollect) -> anyhow::Result<()> {
    let settings = config::load(arguments.config.as_deref())?;
    if settings.source.is_none() {
        bail!("configuration error: configuration path unspecified\n{}", usage());
    }
    crate::log::start(settings.log.clone())?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let threads = std::thread::available_parallelism().map_or(LEAST_THREADS, usize::from);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(LEAST_THREADS))
        .enable_all()
        .build()
        .context("cannot start")?;
    let mut output = Output::new(arguments.quiet);
    let options = CollectOptions {
        delete_untagged: arguments.delete_untagged,
        trash_retention: settings.registry.trash_retention,
        ..CollectOptions::default()
    };
    let server = match arguments.dry_run {
        true => None,
        false => RunningServer::find(&settings)?,
    };
    match server {
        None => runtime.block_on(alone(&settings.storage, options, arguments.dry_run, &mut output)),
        Some(server) => {
            let options = CollectOptions {
                grace: Some(settings.registry.collect_grace),
                ..options
            };
            let garbage = runtime.block_on(async {
                let storage = open(&settings.storage, true).await?;
                look(&Collector::new(storage, options), &mut output).await
            })?;
            if arguments.delete_untagged {
                delete_untagged(&server, &garbage, settings.registry.collect_grace, &output)?;
            }
            let ended = gc::through(&server, |_| Ok(()))?;
            output.total(ended.removed.bytes, "freed")?;
            output.findings(&garbage.findings);
            output.notes(&gc::notes(&ended));
            Ok(())
        }
    }
}

/// Lets the server delete what no tag reaches, for good, as the command without a server does. What was pushed within the grace period
/// may be waiting for its tag.
fn delete_untagged(
    server: &RunningServer,
    garbage: &Garbage,
    grace: Duration,
    output: &Output,
) -> anyhow::Result<()> {
    let deletion = wire::Deletion {
        untagged: Some(wire::Untagged {
            min_age: Some(grace.as_secs()),
            keep_history: Some(0),
        }),
        ..wire::Deletion::default()
    };
    let losing = garbage
        .repositories
        .iter()
        .filter(|repository| !repository.manifests.is_empty());
    for repository in losing {
        let query = [("repository", repository.name())];
        let plan: wire::Plan = server.tell(Method::POST, "/plans", &query, &deletion)?;
        if plan.tags_total > 0 {
            // Without a server their tags keep them as well.
            output.notes(&[format!(
                "`{}` keeps its untagged manifests, because there are signatures or the like of them that have tags",
                repository.name()
            )]);
            continue;
        }
        let application = wire::Application::new(deletion.clone(), Some(plan.id), true);
        let _: wire::Applied = server
            .tell(Method::POST, "/plans/apply", &query, &application)
            .with_context(|| {
                format!(
                    "the server cannot delete the untagged manifests of `{}`; stop it to do without it",
                    repository.name()
                )
            })?;
    }
    Ok(())
}

/// Collects in a store that no server uses, or with `dry_run` looks only.
async fn alone(
    engine: &Engine,
    options: CollectOptions,
    dry_run: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let storage = open(engine, dry_run).await?;
    let collector = Collector::new(storage, options);
    if !dry_run {
        collector.expire_trash().await.context("cannot collect")?;
    }
    let garbage = look(&collector, output).await?;
    if dry_run {
        output.total(garbage.bytes(), "would be freed")?;
    } else {
        let swept = collector
            .sweep(&garbage)
            .await
            .context("the collection stopped half-way; no needed data is lost, run it again to continue")?;
        output.total(swept.bytes, "freed")?;
    }
    output.findings(&garbage.findings);
    output.notes(&gc::of_trash(garbage.records));
    Ok(())
}

/// Looks for garbage, and prints what it is.
async fn look(collector: &Collector, output: &mut Output) -> anyhow::Result<Garbage> {
    let mut marking = collector.mark().await.context("cannot collect")?;
    while let Some(repository) = marking.next().await.context("cannot collect")? {
        output.repository(&repository)?;
    }
    let marked = marking.finish().await.context("cannot collect")?;
    let garbage = collector.garbage(marked).await.context("cannot collect")?;
    // Garbage that could not be printed is not removed: the reader of the pipe has ended.
    output.garbage(&garbage)?;
    Ok(garbage)
}

/// Opens the store, exclusively, or read-only for a dry run. A directory or prefix that has no registry is an error: a wrong
/// name must not look like an empty registry.
async fn open(engine: &Engine, dry_run: bool) -> anyhow::Result<Arc<dyn Storage>> {
    let to_read = offline::open_to_read(engine, &WORK).await?;
    let repositories = layout::repositories();
    let blobs = to_read.list(&layout::blobs(), None, 1).await?;
    if blobs.entries.is_empty() && to_read.list(&repositories, None, 1).await?.entries.is_empty() {
        let (place, key) = match engine {
            Engine::S3(bucket) => (bucket.place(), "storage.s3.rootdirectory"),
            Engine::Cloud(bucket) => (bucket.place(), "rootdirectory"),
            Engine::Filesystem { root } => (root.display().to_string(), "storage.filesystem.rootdirectory"),
            Engine::InMemory => (String::new(), "storage"),
        };
        bail!(
            "cannot collect: there is no registry in `{place}`, no `{repositories}`; does `{key}` name the right directory?"
        );
    }
    if dry_run {
        return Ok(to_read);
    }
    offline::exclusively(to_read, engine, &WORK).await
}

/// The help text, which registry:2 prints without a configuration.
fn usage() -> String {
    let mut cli = Cli::command();
    cli.build();
    cli.find_subcommand_mut("garbage-collect")
        .map(|command| command.render_help().to_string())
        .unwrap_or_default()
}

/// Standard output, in the lines of registry:2 and registry:3.
struct Output {
    /// Standard output; `None` with `--quiet`.
    sink: Option<BufWriter<io::StdoutLock<'static>>>,
}

impl Output {
    fn new(quiet: bool) -> Self {
        Self {
            sink: (!quiet).then(|| BufWriter::with_capacity(64 * 1024, io::stdout().lock())),
        }
    }

    fn print(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        match &mut self.sink {
            Some(sink) => write(sink).context("cannot write to standard output; the collection stops"),
            None => Ok(()),
        }
    }

    fn repository(&mut self, repository: &RepositoryMarks) -> anyhow::Result<()> {
        self.print(|output| {
            let name = &repository.name;
            writeln!(output, "{name}")?;
            for mark in &repository.marks {
                match mark {
                    // registry:2 has the space at the end, too.
                    Mark::Manifest(digest) => writeln!(output, "{name}: marking manifest {digest} ")?,
                    Mark::Blob(digest) => writeln!(output, "{name}: marking blob {digest}")?,
                }
            }
            Ok(())
        })
    }

    fn garbage(&mut self, garbage: &Garbage) -> anyhow::Result<()> {
        self.print(|output| {
            for repository in &garbage.repositories {
                for manifest in &repository.manifests {
                    writeln!(
                        output,
                        "manifest eligible for deletion: {{{} {} [{}]}}",
                        repository.name(),
                        manifest.digest,
                        manifest.tags.join(" ")
                    )?;
                }
            }
            writeln!(
                output,
                "\n{} blobs marked, {} blobs and {} manifests eligible for deletion",
                garbage.marked,
                garbage.blobs.len(),
                garbage.manifests()
            )?;
            for blob in &garbage.blobs {
                writeln!(output, "blob eligible for deletion: {}", blob.digest)?;
            }
            for repository in &garbage.repositories {
                let name = repository.name();
                for layer in &repository.layers {
                    writeln!(output, "{name}: layer link eligible for deletion: {layer}")?;
                }
            }
            for repository in garbage
                .repositories
                .iter()
                .filter(|repository| repository.vanishes)
            {
                writeln!(
                    output,
                    "{}: empty repository eligible for deletion",
                    repository.name()
                )?;
            }
            output.flush()
        })
    }

    fn total(&mut self, bytes: u64, what: &str) -> anyhow::Result<()> {
        self.print(|output| {
            writeln!(output, "{bytes} bytes ({}) {what}", readable(bytes))?;
            output.flush()
        })
    }

    /// Says on standard error what was kept, because a client that deletes and collects expects the space.
    #[expect(clippy::print_stderr, reason = "the report of a command, not a line of a log")]
    fn notes(&self, notes: &[String]) {
        for note in notes.iter().filter(|_| self.sink.is_some()) {
            eprintln!("note: {note}");
        }
    }

    /// Prints the findings to standard error, also with `--quiet`.
    #[expect(clippy::print_stderr, reason = "the report of a command, not a line of a log")]
    fn findings(&self, findings: &[Finding]) {
        for finding in findings {
            eprintln!("warning: {finding}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_names_the_command_and_its_flags() {
        let usage = usage();
        for expected in [
            "garbage-collect",
            "--dry-run",
            "-m, --delete-untagged",
            "-q, --quiet",
        ] {
            assert!(usage.contains(expected), "{expected}: {usage}");
        }
    }
}
