//! `wharf prune`: which tags and images rules do not keep, with a reason for every tag; and, when it is told to, deleting them.

mod output;

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use http::Method;
use serde::Serialize;
use wharf_oci::RepoName;
use wharf_registry::EveryTag;
use wharf_server::admin::wire;

use super::{
    deletion::{WORK, Wanted, apply, is_empty, names_of_outcome, names_of_plan},
    images::Images,
    listing::show_names,
    pages::Pages,
    remote::{print, print_json, say},
};
use crate::cli::{Output, Prune};

/// Exit status when something would go.
const WOULD_DELETE: u8 = 10;

/// What would go, of all repositories.
#[derive(Debug, Default, Serialize)]
struct Planned {
    plans: Vec<wire::Plan>,
    bytes: wire::PlannedBytes,
    unread: Vec<wire::UnreadRepository>,
}

/// What went.
#[derive(Debug, Default, Serialize)]
struct Pruned {
    applied: Vec<wire::Applied>,
    /// Repositories from which nothing went, because too many tags would, or because they could not be read.
    refused: Vec<wire::UnreadRepository>,
}

/// Plans, and deletes with `--apply`.
pub(crate) fn run(arguments: &Prune) -> anyhow::Result<ExitCode> {
    let retention = wanted(arguments)?;
    let images = Images::at(
        arguments.server.server.as_ref(),
        &arguments.server,
        !arguments.apply,
        &WORK,
    )?;
    let planned = plan(&images, &retention)?;
    require_named(arguments, &planned)?;
    let output = arguments.form.output(Output::Table);
    let goes = |plan: &wire::Plan| !is_empty(plan) && plan.refused.is_none();
    let would_delete = planned.plans.iter().any(goes);
    let is_refused = !planned.unread.is_empty() || planned.plans.iter().any(|plan| plan.refused.is_some());
    if !arguments.apply {
        match output {
            Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(&planned)?))?,
            Output::Name => {
                let going = planned.plans.iter().filter(|plan| goes(plan));
                let names: Vec<String> = going.flat_map(names_of_plan).collect();
                show_names(names.iter().map(String::as_str))?;
            }
            Output::Table => print(&output::planned(&planned, arguments.now))?,
        }
        return Ok(match would_delete {
            _ if is_refused => ExitCode::FAILURE,
            true => ExitCode::from(WOULD_DELETE),
            false => ExitCode::SUCCESS,
        });
    }
    if output == Output::Table {
        print(&output::planned(&planned, arguments.now))?;
    }
    let pruned = carry_out(&images, &retention, planned, arguments)?;
    if output == Output::Json {
        print_json(&format!("{:#}\n", serde_json::to_value(&pruned)?))?;
    }
    Ok(match pruned.refused.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The rules of the command line.
fn wanted(arguments: &Prune) -> anyhow::Result<wire::Retention> {
    let repositories: Vec<String> = [&arguments.repositories, &arguments.more_repositories]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let seconds = |age: Option<Duration>| age.map(|age| age.as_secs());
    let rules = match arguments.policy {
        true => None,
        false => {
            if repositories.is_empty() && !arguments.all {
                bail!(
                    "name the repositories, such as `wharf prune team/app --keep 5`, or say `--all`, or `--policy` for the rules of the \
                     configuration"
                );
            }
            Some(vec![wire::RetentionRule {
                repositories,
                kinds: arguments.kinds.iter().map(ToString::to_string).collect(),
                tags: arguments.tags.clone(),
                not_tags: arguments.not_tags.clone(),
                keep: arguments.keep,
                older_than: seconds(arguments.older_than),
                not_pulled: seconds(arguments.not_pulled),
                untagged: seconds(arguments.untagged),
            }])
        }
    };
    let says_what_goes = arguments.keep.is_some()
        || arguments.older_than.is_some()
        || arguments.not_pulled.is_some()
        || arguments.untagged.is_some();
    if rules.is_some() && !says_what_goes {
        bail!("say what goes by `--keep N`, `--older-than AGE`, `--not-pulled AGE` or `--untagged`");
    }
    Ok(wire::Retention {
        rules,
        protect: arguments.protect.clone(),
        max_delete: arguments.max_delete.or_else(|| arguments.force.then_some(100)),
        keep_history: seconds(arguments.keep_history),
    })
}

/// What the rules would take from all repositories.
fn plan(images: &Images, retention: &wire::Retention) -> anyhow::Result<Planned> {
    let mut planned = Planned::default();
    let mut pages = Pages::default();
    loop {
        let page = page(images, retention, pages.cursor())?;
        planned.plans.extend(page.plans);
        planned.unread.extend(page.unread);
        planned.bytes.free += page.bytes.free;
        planned.bytes.blobs += page.bytes.blobs;
        planned.bytes.shared += page.bytes.shared;
        planned.bytes.in_trash += page.bytes.in_trash;
        if planned.bytes.uncertain.is_none() {
            planned.bytes.uncertain = page.bytes.uncertain;
            planned.bytes.uncertain_messages = page.bytes.uncertain_messages;
        }
        if !pages.turn(page.next)? {
            return Ok(planned);
        }
    }
}

fn page(
    images: &Images,
    retention: &wire::Retention,
    after: Option<&str>,
) -> anyhow::Result<wire::RetentionPlans> {
    Ok(match images {
        Images::Store(local) => {
            let policy = local.retention.policy_of(retention)?;
            let after: Option<RepoName> = after.map(str::parse).transpose()?;
            let plans = local
                .retention
                .plan(&local.registry, &policy, after.as_ref(), &EveryTag);
            local.runtime.block_on(plans)?
        }
        Images::Server(server) => {
            let query: Vec<(&str, &str)> = after.map(|after| ("cursor", after)).into_iter().collect();
            server.tell(Method::POST, "/retention/plans", &query, retention)?
        }
    })
}

/// Refuses names of repositories that there are none of: one that is mistyped would look as if nothing were to go.
fn require_named(arguments: &Prune, planned: &Planned) -> anyhow::Result<()> {
    let named = arguments.repositories.iter().chain(&arguments.more_repositories);
    for name in named.filter(|name| name.parse::<RepoName>().is_ok()) {
        let is_there = planned.plans.iter().any(|plan| plan.repository == *name)
            || planned.unread.iter().any(|unread| unread.repository == *name);
        if !is_there {
            bail!(
                "there is no repository `{name}`; a pattern such as `{name}/**` matches those below it; nothing was deleted"
            );
        }
    }
    Ok(())
}

/// Applies the plans, one repository after the other.
fn carry_out(
    images: &Images,
    retention: &wire::Retention,
    planned: Planned,
    arguments: &Prune,
) -> anyhow::Result<Pruned> {
    let output = arguments.form.output(Output::Table);
    let mut pruned = Pruned {
        applied: Vec::new(),
        refused: planned.unread,
    };
    for plan in planned.plans {
        if let Some(problem) = plan.refused {
            pruned.refused.push(wire::UnreadRepository {
                repository: plan.repository,
                problem: format!("{problem}; `--force` allows all of them"),
            });
            continue;
        }
        if is_empty(&plan) {
            continue;
        }
        let wanted = Wanted {
            name: plan.repository.parse()?,
            deletion: wire::Deletion {
                retention: Some(retention.clone()),
                ..wire::Deletion::default()
            },
            command: "wharf prune",
            only_if_empty: false,
        };
        let repository = plan.repository.clone();
        let went = match apply(images, &wanted, plan, (true, arguments.now)) {
            Ok(went) => went,
            // The others go all the same, and what went is told.
            Err(error) => {
                let problem = format!("{error:#}");
                pruned
                    .refused
                    .push(wire::UnreadRepository { repository, problem });
                continue;
            }
        };
        match output {
            Output::Table => print(&super::deletion::applied(&went, &images.option()))?,
            Output::Name => show_names(names_of_outcome(&went).iter().map(String::as_str))?,
            Output::Json => {}
        }
        pruned.applied.push(went);
    }
    match output {
        Output::Table => print(&output::refused(&pruned.refused))?,
        Output::Name => say(&output::refused(&pruned.refused)),
        Output::Json => {}
    }
    Ok(pruned)
}
