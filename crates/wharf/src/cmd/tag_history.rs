//! `wharf tag history` and `wharf tag restore`: at which manifests a tag pointed, and the way back, through the server that runs, or
//! another wharf, or else in the store of the configuration.

use std::sync::Arc;

use http::Method;
use wharf_client::{Address, printable};
use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::Origin;
use wharf_server::admin::{restore_tag, tag_history, wire};

use super::{
    images::{Images, Local},
    listing::{show_names, time},
    offline::Work,
    remote::{print, print_json},
    table,
};
use crate::cli::{Output, Server, TagHistory, TagRestore};

const WORK: Work = Work {
    cannot: "cannot open the store of the images",
    cannot_read: "cannot open the store of the images; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot move a tag in a store that a server uses, and that server has no control socket here",
    instead: "stop it for a moment, or configure `admin.socket`",
    in_memory: "keeps them in the memory of the server",
};

/// Prints the history of a tag.
pub(crate) fn show(arguments: &TagHistory) -> anyhow::Result<()> {
    let (name, tag) = (&arguments.image.repository, &arguments.image.tag);
    let images = images(&arguments.server, arguments.image.registry.as_ref(), true)?;
    let history = images.history(name, tag, arguments.limit)?;
    match arguments.form.output(Output::Table) {
        Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(&history)?)),
        Output::Name => show_names(history.entries.iter().map(|entry| &*entry.digest)),
        Output::Table => print(&listed(&history)),
    }
}

/// Moves a tag back.
pub(crate) fn restore(arguments: &TagRestore) -> anyhow::Result<()> {
    let target = &arguments.target;
    let (name, tag) = (&target.image.repository, &target.image.tag);
    let images = images(&arguments.server, target.image.registry.as_ref(), false)?;
    let restored = images.restore(name, tag, &target.digest)?;
    if arguments.form.is_json() {
        return print_json(&format!("{:#}\n", serde_json::to_value(&restored)?));
    }
    print(&format!(
        "{name}:{tag} points at {} again\n",
        printable(&restored.digest)
    ))
}

fn images(server: &Server, named: Option<&Address>, only_to_read: bool) -> anyhow::Result<Images> {
    let registry = server.registry(named).map_err(anyhow::Error::msg)?;
    Images::at(registry, server, only_to_read, &WORK)
}

impl Images {
    fn history(&self, name: &RepoName, tag: &Tag, limit: usize) -> anyhow::Result<wire::TagHistory> {
        Ok(match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => runtime.block_on(tag_history(registry, name, tag, limit))?,
            Self::Server(server) => {
                let (name, limit) = (name.as_str(), limit.to_string());
                let query = [("repository", name), ("tag", tag.as_str()), ("limit", &limit)];
                server.ask(Method::GET, "/tags/history", &query)?
            }
        })
    }

    fn restore(&self, name: &RepoName, tag: &Tag, digest: &Digest) -> anyhow::Result<wire::RestoredTag> {
        Ok(match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => {
                let caller = Arc::new(Origin::worker("wharf tag restore"));
                runtime.block_on(restore_tag(registry, &caller, (name, tag, digest), None, false))?
            }
            Self::Server(server) => {
                let query = [("repository", name.as_str()), ("tag", tag.as_str())];
                let target = wire::TagTarget {
                    digest: digest.to_string(),
                };
                server.tell(Method::POST, "/tags/restore", &query, &target)?
            }
        })
    }
}

/// The history as a table, and how much of it is left out.
fn listed(history: &wire::TagHistory) -> String {
    let rows = history.entries.iter().map(|entry| {
        let state = match (entry.current, entry.available) {
            (true, _) => "current",
            (false, true) => "",
            (false, false) => "gone",
        };
        [time(&entry.since), entry.digest.clone(), state.to_owned()]
    });
    let mut text = table::aligned(["SINCE", "DIGEST", "STATE"], rows) + "\n";
    let more = history.total.saturating_sub(history.entries.len());
    if more > 0 {
        text += &format!("and {more} before; `--limit` shows more\n");
    }
    text
}
