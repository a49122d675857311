//! One repository, marked: from its roots to everything that they reach, and what it has beyond that.

use std::{collections::HashSet, sync::Arc};

use wharf_oci::Digest;
use wharf_storage::{
    Storage,
    layout::{InTree as _, Repository},
};

use super::{
    garbage,
    live::Live,
    report::{CollectOptions, Finding, Mark, RepositoryGarbage},
    survey::Survey,
};
use crate::{
    error::Result,
    tree::{link::Link, manifest::Manifests},
};

/// One repository, marked.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) name: Box<str>,
    pub(super) marks: Vec<Mark>,
    /// Garbage of the repository; `None` when it loses nothing.
    pub(super) garbage: Option<RepositoryGarbage>,
    pub(super) findings: Vec<Finding>,
}

/// Works out what `repository` needs, and what it has without needing it. `None` when the directory only holds other
/// repositories.
///
/// # Errors
///
/// Errors of listing a directory.
pub(super) async fn examine(
    storage: Arc<dyn Storage>,
    manifests: Arc<Manifests>,
    repository: Repository,
    options: CollectOptions,
) -> Result<Option<Examined>> {
    let survey = Survey::take(&storage, &manifests, repository, options).await?;
    let Some(mut survey) = survey else { return Ok(None) };
    let mut live = Live::default();
    for root in roots(&survey, options) {
        live.mark_manifest(root);
        live.reach(&survey, vec![root]);
    }
    live.reach_unlinked(&manifests, &mut survey).await?;
    for pinned in &survey.pinned {
        live.name(*pinned);
    }
    if survey.is_kept_whole {
        live.reach_everything(&survey);
        live.reach_unlinked(&manifests, &mut survey).await?;
    }
    live.follow_links(&storage, &mut survey).await?;
    let garbage = if survey.is_kept_whole {
        None
    } else {
        garbage::of_repository(&storage, &survey, &live, options).await?
    };
    Ok(Some(Examined {
        name: survey.repository.path().into(),
        marks: live.into_marks(),
        garbage,
        findings: survey.findings,
    }))
}

/// The manifests that are needed for their own sake.
///
/// *Online*, manifests that are pinned, or linked within the grace period, are roots as well.
fn roots(survey: &Survey, options: CollectOptions) -> Vec<Digest> {
    let mut roots = Vec::new();
    if !options.delete_untagged {
        roots.extend(&survey.revisions);
    }
    for tag in &survey.tags {
        match &tag.current {
            Link::Points(digest) => roots.push(*digest),
            // The tag pointed at one of these.
            Link::Damaged(_) => {
                roots.extend(tag.history.iter().filter(|digest| survey.has_revision(digest)));
            }
            Link::Absent => {}
        }
    }
    roots.extend(survey.pinned.iter().filter(|digest| survey.has_revision(digest)));
    let mut seen = HashSet::new();
    roots.retain(|root| seen.insert(*root));
    roots
}
