//! `wharf why`: says why a digest is kept, from the store of the configuration, also beside the server that uses it,
//! or as another wharf says it.

use anyhow::Context as _;
use http::Method;
use tokio::runtime;
use wharf_registry::collect::{CollectOptions, Collector};
use wharf_server::admin::{why, wire};

use super::{
    listing::show_names,
    offline::{self, Work},
    reached::reach,
    remote::{print, print_json},
    size::readable,
};
use crate::{
    cli::{self, Output},
    config,
};

const READ: Work = Work {
    cannot: "cannot look for what needs it",
    cannot_read: "cannot look for what needs it; does `storage.filesystem.rootdirectory` name the right directory?",
    // Nothing is changed, so it works beside a server.
    cannot_beside: "",
    instead: "",
    in_memory: "keeps the data in the memory of the server, where no other process can read it",
};

/// Prints why a digest is kept.
pub(crate) fn run(arguments: &cli::Why) -> anyhow::Result<()> {
    let told = match &arguments.server.server {
        Some(address) => {
            let server = reach(address, arguments.server.remote())?.require_wharf()?;
            let digest = arguments.digest.to_string();
            server.ask(Method::GET, "/why", &[("digest", &digest)])?
        }
        None => alone(arguments)?,
    };
    match arguments.form.output(Output::Table) {
        Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(&told)?)),
        Output::Name => show_names(
            told.kept
                .iter()
                .map(named)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        ),
        Output::Table => print(&described(&told)),
    }
}

/// What the store of the configuration says.
fn alone(arguments: &cli::Why) -> anyhow::Result<wire::Why> {
    let settings = config::load(arguments.server.config.as_deref())?;
    crate::log::start(settings.log)?;
    let options = CollectOptions {
        trash_retention: settings.registry.trash_retention,
        grace: Some(settings.registry.collect_grace),
        ..CollectOptions::default()
    };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let storage = offline::open_to_read(&settings.storage, &READ).await?;
        why(&Collector::new(storage, options), &arguments.digest)
            .await
            .context(READ.cannot)
    })
}

/// What needs it, as a name: of a tag `app:1.0`, of a manifest `app@sha256:…`, of a deletion its identifier, otherwise the repository.
fn named(kept: &wire::Kept) -> String {
    let (repository, name) = (&kept.repository, kept.name.as_deref().unwrap_or_default());
    match (kept.by, kept.path.first()) {
        (wire::KeptBy::Tag, _) => format!("{repository}:{name}"),
        (wire::KeptBy::Untagged, Some(digest)) => format!("{repository}@{digest}"),
        (wire::KeptBy::Trash, _) => name.to_owned(),
        _ => repository.clone(),
    }
}

fn described(why: &wire::Why) -> String {
    let digest = &why.digest;
    let size = why.size.map(readable);
    let stored = match &size {
        Some(size) => format!("{digest} ({size})"),
        None => format!("{digest}, which is not stored,"),
    };
    if why.kept.is_empty() {
        return match (why.young, size) {
            (_, None) => format!("{digest} is not stored, and nothing needs it\n"),
            (true, _) => {
                format!("nothing needs {stored}; it is kept until it is older than `collect.grace`\n")
            }
            (false, _) => format!("nothing needs {stored}; it is garbage, and `wharf gc` removes it\n"),
        };
    }
    let mut text = format!("{stored} is needed by\n");
    for kept in &why.kept {
        let (repository, name) = (&kept.repository, kept.name.as_deref().unwrap_or_default());
        let keeper = match kept.by {
            wire::KeptBy::Tag => format!("{repository}:{name}"),
            wire::KeptBy::Untagged => format!("{repository}, a manifest without a tag"),
            wire::KeptBy::Trash => format!("the deletion {name} of {repository}, which can be restored"),
            wire::KeptBy::YoungLink => {
                format!("{repository}, to which it was pushed within `collect.grace`")
            }
            wire::KeptBy::Unreadable => format!("{repository}, which is kept whole: {name}"),
        };
        text += &format!("  {keeper}\n");
        for step in kept.path.iter().filter(|step| *step != digest) {
            text += &format!("    through {step}\n");
        }
    }
    text
}
