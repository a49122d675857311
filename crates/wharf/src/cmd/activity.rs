//! `wharf activity`: prints who did what, from the log in the store, also beside the server that writes it, or as another wharf tells it.

mod elsewhere;
mod output;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{runtime, time};
use wharf_access::rules::Pattern;
use wharf_activity::{Action, Filter, Found, Reader};
use wharf_storage::Objects;

use self::output::Output;
use super::{
    offline::{self, Work},
    reached::reach,
};
use crate::{
    cli,
    config::{self, Engine},
};

const READ: Work = Work {
    cannot: "cannot read the activity log",
    cannot_read: "cannot read the activity log; does `storage.filesystem.rootdirectory` name the right directory?",
    // Nothing is changed, so it works beside a server.
    cannot_beside: "",
    instead: "",
    in_memory: "keeps the log in the memory of the server, where no other process can read it",
};

/// How often `--follow` looks for new entries: in a directory, and in a bucket, to which each look is a request.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_AT_BUCKET: Duration = Duration::from_secs(10);

/// Prints the entries that the arguments ask for.
pub(crate) fn run(arguments: cli::Activity) -> anyhow::Result<()> {
    if let Some(address) = &arguments.server.server {
        let server = reach(address, arguments.server.remote())?.require_wharf()?;
        let output = output(&arguments);
        if arguments.follow {
            return elsewhere::follow(&server, &arguments, |found, is_first| {
                print(&output, found, is_first)
            });
        }
        print(&output, &elsewhere::newest(&server, &arguments)?, true)?;
        return Ok(());
    }
    let settings = config::load(arguments.server.config.as_deref())?;
    crate::log::start(settings.log)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let storage = offline::open_to_read(&settings.storage, &READ).await?;
        let pause = match settings.storage {
            Engine::Filesystem { .. } | Engine::InMemory => LOOK,
            Engine::S3(_) | Engine::Cloud(_) => LOOK_AT_BUCKET,
        };
        show(storage as Arc<dyn Objects>, arguments, pause).await
    })
}

async fn show(objects: Arc<dyn Objects>, arguments: cli::Activity, pause: Duration) -> anyhow::Result<()> {
    let output = output(&arguments);
    let (limit, follow) = (arguments.limit, arguments.follow);
    let mut reader = Reader::new(objects, filter(arguments));
    let limit = match limit {
        0 => usize::MAX,
        limit => limit,
    };
    let mut found = reader.newest(limit).await.context(READ.cannot)?;
    let mut is_first = true;
    loop {
        if !print(&output, &found, is_first)? || !follow {
            return Ok(());
        }
        is_first = false;
        time::sleep(pause).await;
        found = reader.further().await.context(READ.cannot)?;
    }
}

/// Standard output, in the form of the command line.
fn output(arguments: &cli::Activity) -> Output {
    let json = arguments.json.then_some(cli::EntryForm::Json);
    Output::new(arguments.output.or(json))
}

/// The filter of the command line.
fn filter(arguments: cli::Activity) -> Filter {
    // It was parsed before.
    let pattern = arguments.repository.and_then(|text| Pattern::parse(&text).ok());
    let action = |name: &String| Action::ALL.into_iter().find(|action| action.as_str() == name);
    Filter {
        action: arguments.action.as_ref().and_then(action),
        account: arguments.account,
        since: arguments.since,
        until: arguments.until,
        repository: pattern.map(|pattern| Box::new(move |name: &str| pattern.matches(name, None)) as _),
    }
}

/// Prints the entries. Returns whether their reader takes more.
fn print(output: &Output, found: &Found, is_first: bool) -> anyhow::Result<bool> {
    if found.unreadable > 0 {
        tracing::warn!(
            lines = found.unreadable,
            "some lines of the activity log cannot be read: a crash has torn them, or another version of wharf has written them"
        );
    }
    output.print(&found.entries, is_first)
}
