//! `wharf why`: says why a digest is kept, from the store of the configuration, also beside the server that uses it.

use anyhow::Context as _;
use tokio::runtime;
use wharf_registry::collect::{CollectOptions, Collector};
use wharf_server::admin::{why, wire};

use super::{
    offline::{self, Work},
    remote::{print, print_json},
    size::readable,
};
use crate::{cli, config};

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
    let settings = config::load(arguments.config.as_deref())?;
    crate::log::start(settings.log)?;
    let options = CollectOptions {
        trash_retention: settings.registry.trash_retention,
        grace: Some(settings.registry.collect_grace),
        ..CollectOptions::default()
    };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let told = runtime.context("cannot start")?.block_on(async {
        let storage = offline::open_to_read(&settings.storage, &READ).await?;
        why(&Collector::new(storage, options), &arguments.digest)
            .await
            .context(READ.cannot)
    })?;
    if arguments.json {
        return print_json(&format!("{:#}\n", serde_json::to_value(&told)?));
    }
    print(&described(&told))
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
