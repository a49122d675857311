//! `wharf repo rm` and `wharf tag rm`: the plan of a deletion, the question, and the deletion, through the server that runs, or another
//! wharf, or else in the store of the configuration; of other registries by their standard API.

mod elsewhere;
mod output;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use http::Method;
use wharf_client::{Address, control::ControlError};
use wharf_oci::{Digest, RepoName};
use wharf_registry::{Deletion, Error, EveryTag, Origin};
use wharf_server::admin::{apply_deletion, deletion_of, plan_deletion, wire};

pub(super) use self::output::{applied, is_empty, kept};
use super::{
    images::{Images, Local},
    listing::show_names,
    offline::Work,
    question::{Consent, ask},
    reached::{OtherRegistry, Reached, reach},
    remote::{print, print_json},
};
use crate::cli::{DeletedImage, HowToDelete, Output, RepoRm, TagRm, Target};

pub(super) const WORK: Work = Work {
    cannot: "cannot open the store of the images",
    cannot_read: "cannot open the store of the images; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot delete from a store that a server uses, and that server has no control socket here",
    instead: "stop it for a moment, or configure `admin.socket`",
    in_memory: "keeps them in the memory of the server",
};

/// A plan in words.
pub(super) fn described(plan: &wire::Plan) -> String {
    output::plan(plan, false)
}

/// How often a plan is made anew because the repository changes all the time.
const ATTEMPTS: usize = 5;

/// A deletion from one repository, in the name of a command.
pub(super) struct Wanted {
    pub(super) name: RepoName,
    pub(super) deletion: wire::Deletion,
    pub(super) command: &'static str,
    /// Whether nothing is to be deleted if a tag would go.
    pub(super) only_if_empty: bool,
}

impl Wanted {
    /// Refuses a plan that takes tags where none may go.
    fn require_allowed(&self, plan: &wire::Plan) -> anyhow::Result<()> {
        if self.only_if_empty && plan.tags_total > 0 {
            bail!(
                "`{}` has {} tag(s), so it is not deleted; without `--if-empty` it goes with them",
                self.name,
                plan.tags_total
            );
        }
        Ok(())
    }
}

/// Deletes a repository.
pub(crate) fn remove_repository(arguments: &RepoRm) -> anyhow::Result<ExitCode> {
    let wanted = Wanted {
        name: arguments.repository.name.clone(),
        deletion: wire::Deletion {
            everything: true,
            ..wire::Deletion::default()
        },
        command: "wharf repo rm",
        only_if_empty: arguments.if_empty,
    };
    let how = &arguments.how;
    let images = match place(how, arguments.repository.registry.as_ref())? {
        Place::Wharf(images) => images,
        Place::Other(other) => {
            return elsewhere::remove_repository(&other, &wanted.name, arguments.if_empty, how);
        }
    };
    let plans = vec![plan(&images, &wanted)?];
    wanted.require_allowed(&plans[0])?;
    carry_out(&images, &[wanted], plans, &arguments.how)
}

/// Deletes tags and manifests.
pub(crate) fn remove_tags(arguments: &TagRm) -> anyhow::Result<ExitCode> {
    let is_manifest = |image: &DeletedImage| matches!(image.target, Target::Manifest(_));
    if arguments.keep_image && arguments.images.iter().any(is_manifest) {
        bail!("`--keep-image` deletes tags alone, and a digest names the image itself");
    }
    let first = arguments.images.first().and_then(|image| image.registry.as_ref());
    if let Some(other) = arguments
        .images
        .iter()
        .find(|image| image.registry.as_ref() != first)
    {
        bail!(
            "`{}` is in another registry than the first image; delete from one registry at a time",
            other.repository
        );
    }
    let images = match place(&arguments.how, first)? {
        Place::Wharf(images) => images,
        Place::Other(other) => return elsewhere::remove_tags(&other, arguments),
    };
    let wanted = deletions(&arguments.images, arguments.keep_image);
    let plans: anyhow::Result<Vec<wire::Plan>> = wanted.iter().map(|wanted| plan(&images, wanted)).collect();
    carry_out(&images, &wanted, plans?, &arguments.how)
}

/// What is deleted from.
enum Place {
    /// The registry of this machine, or another wharf.
    Wharf(Images),
    /// Another registry.
    Other(Box<OtherRegistry>),
}

/// The registry that `how` and the names with a registry in front mean.
fn place(how: &HowToDelete, named: Option<&Address>) -> anyhow::Result<Place> {
    let server = &how.server;
    let Some(address) = server.registry(named).map_err(anyhow::Error::msg)? else {
        let images = Images::of(server.config.as_deref(), how.dry_run, &WORK)?;
        return Ok(Place::Wharf(images));
    };
    Ok(match reach(address, server.remote())? {
        Reached::Wharf(server) => Place::Wharf(Images::Server(server)),
        Reached::Other(other) => Place::Other(other),
    })
}

/// The deletions of `images`: the tags of one repository together, and each manifest by itself.
fn deletions(images: &[DeletedImage], keep_images: bool) -> Vec<Wanted> {
    let command = "wharf tag rm";
    let mut tags: BTreeMap<&str, (RepoName, Vec<String>)> = BTreeMap::new();
    let mut manifests = Vec::new();
    for DeletedImage {
        repository, target, ..
    } in images
    {
        match target {
            Target::Tag(tag) => {
                let of_repository = tags.entry(repository.as_str());
                let (_, tags) = of_repository.or_insert_with(|| (repository.clone(), Vec::new()));
                tags.push(tag.to_string());
            }
            Target::Manifest(digest) => manifests.push(Wanted {
                name: repository.clone(),
                deletion: wire::Deletion {
                    manifest: Some(digest.to_string()),
                    ..wire::Deletion::default()
                },
                command,
                only_if_empty: false,
            }),
        }
    }
    let tags = tags.into_values().map(|(name, tags)| Wanted {
        name,
        deletion: wire::Deletion {
            tags: Some(tags),
            keep_images,
            ..wire::Deletion::default()
        },
        command,
        only_if_empty: false,
    });
    tags.chain(manifests).collect()
}

/// Shows the plans, asks, and applies them.
fn carry_out(
    images: &Images,
    wanted: &[Wanted],
    plans: Vec<wire::Plan>,
    how: &HowToDelete,
) -> anyhow::Result<ExitCode> {
    let output = how.form.output(Output::Table);
    if how.dry_run && output == Output::Json {
        return done(print_json(&format!("{:#}\n", serde_json::to_value(&plans)?)));
    }
    if how.dry_run && output == Output::Name {
        return done(show_names(
            plans
                .iter()
                .flat_map(names_of_plan)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        ));
    }
    if output == Output::Table {
        for plan in &plans {
            print(&output::plan(plan, how.now))?;
        }
    }
    if how.dry_run || plans.iter().all(is_empty) {
        if output == Output::Json {
            print_json("[]\n")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Consent::Refused(status) = ask("Delete this?", how.yes)? {
        return Ok(status);
    }
    let mut applied = Vec::new();
    for (wanted, plan) in wanted.iter().zip(plans) {
        if is_empty(&plan) {
            continue;
        }
        let went = apply(images, wanted, plan, (how.yes, how.now))?;
        match output {
            Output::Table => print(&output::applied(&went, &images.option()))?,
            Output::Name => show_names(names_of_outcome(&went).iter().map(String::as_str))?,
            Output::Json => {}
        }
        applied.push(went);
    }
    if output == Output::Json {
        print_json(&format!("{:#}\n", serde_json::to_value(&applied)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn done(printed: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    printed.map(|()| ExitCode::SUCCESS)
}

/// Tags and manifests that a plan removes, as names.
pub(super) fn names_of_plan(plan: &wire::Plan) -> Vec<String> {
    let repository = &plan.repository;
    let tags = plan.tags.iter().map(|tag| format!("{repository}:{}", tag.tag));
    let manifests = plan.manifests.iter();
    let manifests = manifests.map(|manifest| format!("{repository}@{}", manifest.digest));
    tags.chain(manifests).collect()
}

/// Tags and manifests that went, as names.
pub(super) fn names_of_outcome(went: &wire::Applied) -> Vec<String> {
    let repository = &went.repository;
    let tags = went.tags.iter().map(|tag| format!("{repository}:{tag}"));
    let manifests = went.manifests.iter();
    let manifests = manifests.map(|digest| format!("{repository}@{digest}"));
    tags.chain(manifests).collect()
}

fn plan(images: &Images, wanted: &Wanted) -> anyhow::Result<wire::Plan> {
    let name = &wanted.name;
    Ok(match images {
        Images::Store(local) => local.runtime.block_on(async {
            let deletion = deletion(local, wanted).await?;
            let plan = plan_deletion(&local.registry, name, &deletion, &EveryTag, &|_| true);
            anyhow::Ok(plan.await?)
        })?,
        Images::Server(server) => {
            let query = [("repository", name.as_str())];
            server.tell(Method::POST, "/plans", &query, &wanted.deletion)?
        }
    })
}

/// Applies `plan`, with `now` without the trash. A command that does not ask (`is_decided`) makes it anew when the repository has changed.
pub(super) fn apply(
    images: &Images,
    wanted: &Wanted,
    mut plan: wire::Plan,
    (is_decided, now): (bool, bool),
) -> anyhow::Result<wire::Applied> {
    for attempt in 1.. {
        match apply_once(images, wanted, &plan.id, now) {
            Err(error) if is_decided && attempt < ATTEMPTS && is_changed(&error) => {
                plan = self::plan(images, wanted)?;
                wanted.require_allowed(&plan)?;
            }
            other => return other,
        }
    }
    bail!("the repository changes all the time")
}

fn apply_once(images: &Images, wanted: &Wanted, plan: &str, now: bool) -> anyhow::Result<wire::Applied> {
    let name = &wanted.name;
    Ok(match images {
        Images::Store(local) => local.runtime.block_on(async {
            let caller = Arc::new(Origin::worker(wanted.command));
            let plan: Digest = plan.parse().context("no plan")?;
            let deletion = deletion(local, wanted).await?;
            let (what, how) = ((name, &deletion), (Some(&plan), now));
            anyhow::Ok(apply_deletion(&local.registry, &caller, what, &EveryTag, how).await?)
        })?,
        Images::Server(server) => {
            let query = [("repository", name.as_str())];
            let application = wire::Application::new(wanted.deletion.clone(), Some(plan.to_owned()), now);
            server.tell(Method::POST, "/plans/apply", &query, &application)?
        }
    })
}

async fn deletion(local: &Local, wanted: &Wanted) -> anyhow::Result<Deletion> {
    let deletion = deletion_of(&wanted.deletion, &local.retention)?;
    Ok(local.retention.with_pulls(deletion, &wanted.name).await?)
}

fn is_changed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<ControlError>(), Some(error) if error.is("changed"))
        || matches!(error.downcast_ref(), Some(Error::PlanChanged { .. }))
}
