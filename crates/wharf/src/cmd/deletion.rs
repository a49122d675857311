//! `wharf repo rm` and `wharf tag rm`: the plan of a deletion, the question, and the deletion, through the server that runs, or else
//! in the store of the configuration.

mod output;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use http::Method;
use wharf_client::control::ControlError;
use wharf_oci::{Digest, RepoName};
use wharf_registry::{Deletion, Error, EveryTag, Origin};
use wharf_server::admin::{apply_deletion, deletion_of, plan_deletion, wire};

pub(super) use self::output::{applied, is_empty, kept};
use super::{
    images::{Images, Local},
    offline::Work,
    question::{Consent, ask},
    remote::{print, print_json},
};
use crate::cli::{DeletedImage, HowToDelete, RepoRm, TagRm, Target};

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
        name: arguments.repository.clone(),
        deletion: wire::Deletion {
            everything: true,
            ..wire::Deletion::default()
        },
        command: "wharf repo rm",
        only_if_empty: arguments.if_empty,
    };
    let images = images(&arguments.how)?;
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
    let images = images(&arguments.how)?;
    let wanted = deletions(&arguments.images, arguments.keep_image);
    let plans: anyhow::Result<Vec<wire::Plan>> = wanted.iter().map(|wanted| plan(&images, wanted)).collect();
    carry_out(&images, &wanted, plans?, &arguments.how)
}

/// The deletions of `images`: the tags of one repository together, and each manifest by itself.
fn deletions(images: &[DeletedImage], keep_images: bool) -> Vec<Wanted> {
    let command = "wharf tag rm";
    let mut tags: BTreeMap<&str, (RepoName, Vec<String>)> = BTreeMap::new();
    let mut manifests = Vec::new();
    for DeletedImage { repository, target } in images {
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
    if how.dry_run && how.json {
        print_json(&format!("{:#}\n", serde_json::to_value(&plans)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !how.json {
        for plan in &plans {
            print(&output::plan(plan, how.now))?;
        }
    }
    if how.dry_run || plans.iter().all(is_empty) {
        if how.json {
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
        if !how.json {
            print(&output::applied(&went))?;
        }
        applied.push(went);
    }
    if how.json {
        print_json(&format!("{:#}\n", serde_json::to_value(&applied)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn images(how: &HowToDelete) -> anyhow::Result<Images> {
    Images::of(how.config.as_deref(), how.dry_run, &WORK)
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
    matches!(error.downcast_ref(), Some(ControlError::Refused { kind, .. }) if kind == "changed")
        || matches!(error.downcast_ref(), Some(Error::PlanChanged { .. }))
}
