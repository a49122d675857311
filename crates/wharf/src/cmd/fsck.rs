//! `wharf fsck`: checks a store beside the server that serves it, and moves damaged bytes aside if it is asked to.

mod output;

use std::{pin::pin, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use tokio::{runtime, time::sleep};
use wharf_registry::{
    LeaseHolder,
    check::{CheckOptions, CheckTurn, Checker, Counts, PATIENCE},
};
use wharf_storage::{Storage, layout};

use self::output::Output;
use super::offline::{self, Work};
use crate::{
    cli::Fsck,
    config::{self, Engine},
};

const CHECK: Work = Work {
    cannot: "cannot check",
    cannot_read: "cannot check; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot repair while a server runs",
    instead: "then run this again and start the server after it. Without `--repair` it checks beside a server, whose scrub (`scrub.enabled`) \
              lets damaged blobs count as absent, too",
    in_memory: "keeps the data in the memory of the server, where no other process can read it",
};

/// Exit code when an image is broken, or stored bytes are wrong.
const DAMAGED: u8 = 10;

/// Checks, and prints what was found.
pub(crate) fn run(arguments: &Fsck) -> anyhow::Result<ExitCode> {
    let settings = config::load(arguments.config.as_deref())?;
    crate::log::start(settings.log)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let storage = open(&settings.storage, arguments).await?;
        check(storage, &settings.registry, arguments).await
    })
}

async fn check(
    storage: Arc<dyn Storage>,
    registry: &wharf_registry::Options,
    arguments: &Fsck,
) -> anyhow::Result<ExitCode> {
    let options = CheckOptions {
        is_quick: arguments.quick,
        repository: arguments.repository.clone(),
        rate: arguments.rate,
        repair: arguments.repair,
    };
    let mut turn = CheckTurn::new(&storage).context(CHECK.cannot)?;
    take(&mut turn).await;
    let checker = Checker::new(storage, registry, options);
    let mut output = Output::new(checker.progress(), arguments);
    let counts = {
        let followed = output.follow(checker.run());
        let mut followed = pin!(followed);
        loop {
            tokio::select! {
                followed = &mut followed => break followed,
                // Another check that begins all the same does no harm.
                () = sleep(PATIENCE) => {
                    _ = turn.take().await;
                }
            }
        }
    };
    turn.give_back().await;
    let counts = counts?.context("the check ended half-way; run it again to go on")?;
    output.summary(&counts)?;
    Ok(exit_code(&counts))
}

/// Waits for the turn to check a bucket.
async fn take(turn: &mut CheckTurn) {
    let mut is_told = false;
    loop {
        match turn.take().await {
            Ok(None) => return,
            Ok(Some(LeaseHolder { host, .. })) if !is_told => {
                tracing::warn!(
                    host,
                    "another process checks this store; waiting until it ends, or for five minutes after it died"
                );
                is_told = true;
            }
            Ok(Some(_)) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot take the turn to check; others may check this store meanwhile");
                return;
            }
        }
        sleep(PATIENCE).await;
    }
}

fn exit_code(counts: &Counts) -> ExitCode {
    match (counts.broken, counts.unknown) {
        (0, 0) => ExitCode::SUCCESS,
        // Some of it could not be checked.
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(DAMAGED),
    }
}

/// Opens the store. A directory or prefix without a registry is an error: a wrong name must not look like a sound registry.
async fn open(engine: &Engine, arguments: &Fsck) -> anyhow::Result<Arc<dyn Storage>> {
    let storage = offline::open_to_check(engine, &CHECK).await?;
    if let Some(name) = &arguments.repository {
        let page = storage.list(&layout::repository(name), None, 1).await;
        if page.context(CHECK.cannot)?.entries.is_empty() {
            bail!(
                "cannot check: there is no repository `{name}` in `{}`",
                place(engine)
            );
        }
    }
    for directory in [layout::blobs(), layout::repositories()] {
        let page = storage.list(&directory, None, 1).await;
        if !page.context(CHECK.cannot)?.entries.is_empty() {
            return match arguments.repair {
                true => offline::exclusively(storage, engine, &CHECK).await,
                false => Ok(storage),
            };
        }
    }
    bail!(
        "cannot check: there is no registry in `{}`, no `{}`; does `storage` of the configuration name the right place?",
        place(engine),
        layout::repositories()
    )
}

/// The store, as operators read it.
fn place(engine: &Engine) -> String {
    match engine {
        Engine::Filesystem { root } => root.display().to_string(),
        Engine::S3(bucket) => bucket.place(),
        Engine::Cloud(bucket) => bucket.place(),
        Engine::InMemory => "memory".to_owned(),
    }
}
