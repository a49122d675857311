//! `wharf gc`: collects garbage, through the server that runs, or another wharf, or else in the store of the configuration.

use std::{
    io::{self, IsTerminal as _, Write as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use http::Method;
use serde::Serialize;
use tokio::runtime;
use wharf_client::printable;
use wharf_registry::collect::{CollectOptions, Collector};
use wharf_server::admin::wire;

use super::{
    offline::{self, Work},
    reached::reach,
    remote::{print, print_json},
    size::readable,
};
use crate::{
    cli,
    config::{self, Settings},
    control::RunningServer,
};

const WORK: Work = Work {
    cannot: "cannot collect",
    cannot_read: "cannot collect; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot collect in a store that a server uses, and that server has no control socket here",
    instead: "stop it for a moment, or configure `admin.socket`",
    in_memory: "keeps the data in the memory of the server, and loses it when the server stops; restart the server to empty it",
};

/// How soon the server is asked first how far it is: a collection that finds nothing new takes a few milliseconds.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// How often the server is asked how far it is, at least.
const LOOK: Duration = Duration::from_millis(200);

/// What a collection did, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Outcome {
    removed: wire::Space,
    waiting: wire::Space,
    deletions: usize,
    findings: Vec<String>,
}

/// Collects.
pub(crate) fn run(arguments: &cli::Gc) -> anyhow::Result<()> {
    let (outcome, notes) = match &arguments.server.server {
        Some(address) => collected(&reach(address, arguments.server.remote())?.require_wharf()?)?,
        None => {
            let settings = config::load(arguments.server.config.as_deref())?;
            match RunningServer::find(&settings)? {
                Some(server) => collected(&server)?,
                None => alone(settings)?,
            }
        }
    };
    if arguments.form.is_json() {
        return print_json(&format!("{:#}\n", serde_json::to_value(&outcome)?));
    }
    let mut text = format!(
        "freed {}: {} blobs\n",
        readable(outcome.removed.bytes),
        outcome.removed.blobs
    );
    for finding in &outcome.findings {
        text += &format!("warning: {}\n", printable(finding));
    }
    for note in notes {
        text += &format!("note: {note}\n");
    }
    print(&text)
}

/// Lets a server collect, and shows meanwhile how far it is.
fn collected(server: &RunningServer) -> anyhow::Result<(Outcome, Vec<String>)> {
    let ended = through(server, show);
    clear().context("cannot write to standard error")?;
    let ended = ended?;
    let notes = notes(&ended);
    let outcome = Outcome {
        removed: ended.removed,
        waiting: ended.waiting,
        deletions: ended.deletions,
        findings: ended.findings,
    };
    Ok((outcome, notes))
}

/// Asks the server to collect, waits until it has, and returns what it did. `show` is told how far it is.
///
/// # Errors
///
/// When the server does not collect, or ended early.
pub(super) fn through(
    server: &RunningServer,
    mut show: impl FnMut(&wire::RunningCollection) -> io::Result<()>,
) -> anyhow::Result<wire::EndedCollection> {
    let asked: wire::RequestedCollection = server.ask(Method::POST, "/collections", &[])?;
    let mut pause = FIRST_LOOK;
    loop {
        let state: wire::Collections = server.ask(Method::GET, "/collections", &[])?;
        if state.server != asked.server {
            bail!(
                "the server was started anew before the collection ended; nothing that is needed was removed, run this again"
            );
        }
        match state.last {
            Some(ended) if ended.number >= asked.number => {
                return match &ended.error {
                    None => Ok(ended),
                    Some(error) => bail!("the collection ended early: {}", printable(error)),
                };
            }
            _ => {}
        }
        if let Some(running) = &state.running {
            show(running).context("cannot write to standard error")?;
        }
        thread::sleep(pause);
        pause = LOOK.min(2 * pause);
    }
}

/// Shows on a terminal how far the collection is.
fn show(running: &wire::RunningCollection) -> io::Result<()> {
    let mut terminal = io::stderr();
    if !terminal.is_terminal() {
        return Ok(());
    }
    let (garbage, removed) = (running.garbage, running.removed);
    match garbage.blobs {
        0 => write!(terminal, "\r\x1b[Klooking: {} repositories", running.repositories)?,
        all => write!(
            terminal,
            "\r\x1b[Kremoving: {} of {all} blobs, {} of {}",
            removed.blobs,
            readable(removed.bytes),
            readable(garbage.bytes)
        )?,
    }
    terminal.flush()
}

/// Takes away from a terminal what [`show`] has written.
fn clear() -> io::Result<()> {
    let mut terminal = io::stderr();
    match terminal.is_terminal() {
        true => write!(terminal, "\r\x1b[K"),
        false => Ok(()),
    }
}

/// What a collection kept that an operator may expect to be gone.
pub(super) fn notes(ended: &wire::EndedCollection) -> Vec<String> {
    let mut notes = of_trash(ended.deletions);
    if ended.given_up > 0 {
        notes.push(format!(
            "{} deletion(s) in the trash were given up, the oldest, because the file system is nearly full (`trash.pressure`)",
            ended.given_up
        ));
    }
    if ended.waiting.blobs > 0 {
        notes.push(format!(
            "{} in {} blobs go with a later collection, because clients may still rely on them",
            readable(ended.waiting.bytes),
            ended.waiting.blobs
        ));
    }
    notes
}

/// What `deletions` in the trash keep.
pub(super) fn of_trash(deletions: usize) -> Vec<String> {
    let keeps = match deletions {
        0 => return Vec::new(),
        1 => "1 deletion in the trash keeps what it".to_owned(),
        many => format!("{many} deletions in the trash keep what they"),
    };
    vec![format!(
        "{keeps} removed, so that it can be restored for `trash.retention`; `wharf trash empty` frees it"
    )]
}

/// Collects in a store that no server uses.
fn alone(settings: Settings) -> anyhow::Result<(Outcome, Vec<String>)> {
    crate::log::start(settings.log)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let storage = offline::open(&settings.storage, &WORK).await?;
        let options = CollectOptions {
            trash_retention: settings.registry.trash_retention,
            ..CollectOptions::default()
        };
        let collector = Collector::new(storage, options);
        collector.expire_trash().await.context("cannot collect")?;
        let marking = collector.mark().await.context("cannot collect")?;
        let marked = marking.finish().await.context("cannot collect")?;
        let garbage = collector.garbage(marked).await.context("cannot collect")?;
        let swept = collector
            .sweep(&garbage)
            .await
            .context("the collection stopped half-way; no needed data is lost, run it again to continue")?;
        let outcome = Outcome {
            removed: wire::Space {
                blobs: swept.blobs,
                bytes: swept.bytes,
            },
            waiting: wire::Space::default(),
            deletions: garbage.records,
            findings: garbage.findings.iter().map(ToString::to_string).collect(),
        };
        Ok((outcome, of_trash(garbage.records)))
    })
}
