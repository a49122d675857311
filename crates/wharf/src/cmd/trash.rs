//! `wharf trash`: what was deleted, the way back, and giving it up, through the server that runs, or another wharf, or else in
//! the store of the configuration.

use std::{process::ExitCode, sync::Arc, time::Duration};

use http::Method;
use wharf_client::printable;
use wharf_oci::RepoName;
use wharf_registry::{EveryTag, Origin, TrashId};
use wharf_server::admin::{empty_trash, list_trash, restore_deletion, show_deletion, wire};

use super::{
    images::{Images, Local},
    listing::show_names,
    offline::Work,
    pages::Pages,
    question::{Consent, ask},
    remote::{print, print_json},
    table,
};
use crate::cli::{Output, Server, Trash, TrashEmpty};

const WORK: Work = Work {
    cannot: "cannot open the store of the images",
    cannot_read: "cannot open the store of the images; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot change the trash of a store that a server uses, and that server has no control socket here",
    instead: "stop it for a moment, or configure `admin.socket`",
    in_memory: "keeps them in the memory of the server",
};

/// How many deletions are asked for at once.
const PAGE: usize = 1000;

pub(crate) fn run(command: Trash) -> anyhow::Result<ExitCode> {
    match command {
        Trash::Ls {
            repository,
            form,
            server,
        } => {
            let (deletions, damaged) = images(&server, true)?.trash(repository.as_ref())?;
            let page = wire::TrashPage {
                deletions,
                damaged,
                next: None,
            };
            let output = form.output(Output::Table);
            if output == Output::Name {
                show_names(page.deletions.iter().map(|deleted| &*deleted.id))?;
            } else {
                show(output, &page, listed)?;
            }
        }
        Trash::Show { id, form, server } => {
            let pointers = images(&server, true)?.deleted(&id)?;
            let output = form.output(Output::Table);
            if output == Output::Name {
                show_names(names(&pointers).iter().map(String::as_str))?;
            } else {
                show(output, &pointers, described)?;
            }
        }
        Trash::Restore {
            id,
            force,
            form,
            server,
        } => {
            let images = images(&server, false)?;
            let restored = images.restore_deleted(&id, force)?;
            let is_whole = restored.left_alone.is_empty() && restored.lost.is_empty();
            show(form.output(), &restored, |restored| {
                outcome(&id, restored, &images.option())
            })?;
            return Ok(match is_whole {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            });
        }
        Trash::Empty(arguments) => return empty(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn empty(arguments: &TrashEmpty) -> anyhow::Result<ExitCode> {
    let TrashEmpty {
        ids,
        older_than,
        yes,
        form,
        server,
    } = arguments;
    let images = images(server, false)?;
    let question = match (ids.len(), older_than) {
        (0, None) => "Give up all deletions in the trash, which then cannot be restored?",
        (0, Some(_)) => "Give up the older deletions in the trash, which then cannot be restored?",
        _ => "Give up these deletions, which then cannot be restored?",
    };
    if let Consent::Refused(status) = ask(question, *yes)? {
        return Ok(status);
    }
    let removed = match ids.as_slice() {
        [] => images.empty_trash(older_than.unwrap_or_default())?,
        ids => {
            for id in ids {
                images.give_up(id)?;
            }
            ids.len()
        }
    };
    let text = |emptied: &wire::Emptied| {
        format!(
            "gave up {} deletion(s); the next collection frees what only they kept\n",
            emptied.removed
        )
    };
    show(form.output(), &wire::Emptied { removed }, text)?;
    Ok(ExitCode::SUCCESS)
}

fn images(server: &Server, only_to_read: bool) -> anyhow::Result<Images> {
    Images::at(server.server.as_ref(), server, only_to_read, &WORK)
}

/// Prints `value` as JSON, or as `text` says it.
fn show<T: serde::Serialize>(
    output: Output,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(value)?)),
        Output::Table | Output::Name => print(&text(value)),
    }
}

/// The tags of a deletion, and its manifests by their digests.
fn names(pointers: &wire::DeletedPointers) -> Vec<String> {
    let repository = &pointers.deletion.repository;
    let tags = pointers
        .tags
        .iter()
        .map(|tag| format!("{repository}:{}", tag.tag));
    let manifests = pointers.manifests.iter();
    let manifests = manifests.map(|manifest| format!("{repository}@{}", manifest.digest));
    tags.chain(manifests).collect()
}

impl Images {
    /// All deletions in the trash, the newest last, where a terminal shows it, and the records that cannot be read.
    fn trash(
        &self,
        only: Option<&RepoName>,
    ) -> anyhow::Result<(Vec<wire::Deleted>, Vec<wire::DamagedRecord>)> {
        let (mut deletions, mut damaged) = (Vec::new(), Vec::new());
        let mut pages = Pages::default();
        loop {
            let page = self.trash_page(only, pages.cursor())?;
            deletions.extend(page.deletions);
            damaged.extend(page.damaged);
            if !pages.turn(page.next)? {
                deletions.sort_by(|a, b| (&a.time, &a.id).cmp(&(&b.time, &b.id)));
                damaged.sort_by(|a, b| a.id.cmp(&b.id));
                return Ok((deletions, damaged));
            }
        }
    }

    fn trash_page(&self, only: Option<&RepoName>, cursor: Option<&str>) -> anyhow::Result<wire::TrashPage> {
        Ok(match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => {
                let after = cursor.map(str::parse::<TrashId>).transpose()?;
                let page = (after.as_ref(), PAGE);
                let page = list_trash(registry, page, only, &|_| true, only.is_none());
                runtime.block_on(page)?
            }
            Self::Server(server) => {
                let limit = PAGE.to_string();
                let mut query = vec![("limit", limit.as_str())];
                query.extend(cursor.map(|cursor| ("cursor", cursor)));
                query.extend(only.map(|only| ("repository", only.as_str())));
                server.ask(Method::GET, "/trash", &query)?
            }
        })
    }

    fn deleted(&self, id: &TrashId) -> anyhow::Result<wire::DeletedPointers> {
        Ok(match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => {
                let record = runtime.block_on(registry.trash_record(id))?;
                show_deletion(registry, &record, &EveryTag)
            }
            Self::Server(server) => server.ask(Method::GET, "/trash/record", &[("deletion", id.as_str())])?,
        })
    }

    fn restore_deleted(&self, id: &TrashId, force: bool) -> anyhow::Result<wire::Restored> {
        Ok(match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => runtime.block_on(async {
                let record = registry.trash_record(id).await?;
                let caller = Arc::new(Origin::worker("wharf trash restore"));
                restore_deletion(registry, &caller, &record, force).await
            })?,
            Self::Server(server) => {
                let query = [("deletion", id.as_str())];
                server.tell(
                    Method::POST,
                    "/trash/restore",
                    &query,
                    &wire::Restoration { force },
                )?
            }
        })
    }

    fn give_up(&self, id: &TrashId) -> anyhow::Result<()> {
        match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => Ok(runtime.block_on(registry.remove_from_trash(id))?),
            Self::Server(server) => {
                let query = [("deletion", id.as_str())];
                let _: wire::Emptied = server.ask(Method::DELETE, "/trash", &query)?;
                Ok(())
            }
        }
    }

    fn empty_trash(&self, age: Duration) -> anyhow::Result<usize> {
        let emptied = match self {
            Self::Store(Local {
                registry, runtime, ..
            }) => runtime.block_on(empty_trash(registry, age))?,
            Self::Server(server) => {
                let older_than = age.as_secs();
                server.tell(Method::POST, "/trash/empty", &[], &wire::Emptying { older_than })?
            }
        };
        Ok(emptied.removed)
    }
}

fn listed(page: &wire::TrashPage) -> String {
    let rows = page.deletions.iter().map(|deleted| {
        [
            deleted.id.clone(),
            deleted.repository.clone(),
            counted(deleted),
            by(deleted),
            deleted.expires.clone(),
        ]
    });
    let mut text = match page.deletions.is_empty() {
        true => "nothing is in the trash\n".to_owned(),
        false => table::aligned(["DELETION", "REPOSITORY", "WHAT", "BY", "UNTIL"], rows) + "\n",
    };
    for damaged in &page.damaged {
        text += &format!(
            "{} cannot be read: {}\n",
            printable(&damaged.id),
            printable(&damaged.problem)
        );
    }
    text
}

fn counted(deleted: &wire::Deleted) -> String {
    let counts = [
        (deleted.tags, "tag(s)"),
        (deleted.manifests, "manifest(s)"),
        (deleted.layers, "layer(s)"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    format!("{}: {}", deleted.kind, counts.join(", "))
}

/// The account that deleted it, or the surface.
fn by(deleted: &wire::Deleted) -> String {
    printable(deleted.actor.as_deref().unwrap_or(&deleted.surface)).into_owned()
}

fn described(pointers: &wire::DeletedPointers) -> String {
    let deleted = &pointers.deletion;
    let mut text = format!(
        "{} from {}, {}, by {}; the trash keeps it until {}\n",
        printable(&counted(deleted)),
        printable(&deleted.repository),
        printable(&deleted.time),
        by(deleted),
        printable(&deleted.expires)
    );
    let tags = pointers.tags.iter().map(|tag| {
        [
            "tag".to_owned(),
            tag.tag.clone(),
            tag.digest.clone(),
            tag.since.clone(),
        ]
    });
    let link = |kind: &str, link: &wire::DeletedLink| {
        [
            kind.to_owned(),
            String::new(),
            link.digest.clone(),
            link.since.clone(),
        ]
    };
    let manifests = pointers
        .manifests
        .iter()
        .map(|manifest| link("manifest", manifest));
    let layers = pointers.layers.iter().map(|layer| link("layer", layer));
    let rows: Vec<_> = tags.chain(manifests).chain(layers).collect();
    text += &(table::aligned(["KIND", "TAG", "DIGEST", "SINCE"], rows.into_iter()) + "\n");
    text
}

fn outcome(id: &TrashId, restored: &wire::Restored, option: &str) -> String {
    let wire::Restored {
        repository,
        tags_total,
        manifests,
        layers,
        left_alone,
        lost,
        ..
    } = restored;
    let repository = printable(repository);
    let mut text = format!(
        "restored to {repository}: {tags_total} tag(s), {manifests} manifest(s), {layers} link(s) of layers\n"
    );
    for left in left_alone {
        text += &format!(
            "left alone: {repository}:{} is {} by now, and was {}; `wharf trash restore {id} --force{option}` moves it back\n",
            printable(&left.tag),
            printable(&left.current),
            printable(&left.deleted)
        );
    }
    for digest in lost {
        let digest = printable(digest);
        text += &format!("lost: {digest} is not in the store any more; push the image again\n");
    }
    text
}
