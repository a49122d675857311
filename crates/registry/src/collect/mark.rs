//! One repository, marked: from its roots to everything that they reach, and what it has beyond that.

use std::{collections::HashSet, sync::Arc};

use wharf_oci::{Algorithm, Digest, RepoName};
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
    trash::roots::Roots,
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

/// What it takes to examine repositories.
#[derive(Debug, Clone)]
pub(super) struct Examination {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) manifests: Arc<Manifests>,
    pub(super) options: CollectOptions,
}

impl Examination {
    /// Works out what `repository` needs, and what it has without needing it. `trash` has what records of its deletions
    /// keep. `None` when the directory only holds other repositories.
    ///
    /// # Errors
    ///
    /// Errors of listing a directory.
    pub(super) async fn repository(&self, repository: Repository, trash: &Roots) -> Result<Option<Examined>> {
        let survey = Survey::take(&self.storage, &self.manifests, repository, self.options).await?;
        let Some(mut survey) = survey else { return Ok(None) };
        let mut live = self.mark(&mut survey, trash).await?;
        let mut dead_layers = Vec::new();
        for (layer, linked) in garbage::dead_layers(&self.storage, &survey, &live, self.options).await? {
            match self.options.is_young(linked) {
                true => live.name(layer),
                false => dead_layers.push(layer),
            }
        }
        live.follow_links(&self.storage, &mut survey).await?;
        let garbage = match survey.is_kept_whole {
            true => None,
            false => garbage::of_repository(&survey, &live, &dead_layers, self.options),
        };
        Ok(Some(examined(survey, live, garbage)))
    }

    /// Works out what records of the trash need of a repository that is not there, or was examined before. `None` when no
    /// repository can have that name.
    ///
    /// # Errors
    ///
    /// When a task did not end.
    pub(super) async fn deleted(&self, name: &str, trash: &Roots) -> Result<Option<Examined>> {
        let Ok(name) = name.parse::<RepoName>() else {
            return Ok(None);
        };
        let mut survey = Survey::empty(Repository::from(&name));
        let mut live = self.mark(&mut survey, trash).await?;
        // Their bytes may be stored by another digest, which their links say.
        survey.layers = live.by(Algorithm::Sha512);
        live.follow_links(&self.storage, &mut survey).await?;
        Ok(Some(examined(survey, live, None)))
    }

    /// Marks what the roots of a repository, and those that the `trash` has of it, reach.
    pub(super) async fn mark(&self, survey: &mut Survey, trash: &Roots) -> Result<Live> {
        let mut live = Live::default();
        for root in roots(survey, self.options) {
            live.mark_manifest(root);
            live.reach(survey, vec![root]);
        }
        for root in &trash.manifests {
            live.mark_manifest(*root);
            live.reach(survey, vec![*root]);
        }
        live.reach_unlinked(&self.manifests, survey, trash).await?;
        for named in survey.pinned.iter().chain(&trash.layers) {
            live.name(*named);
        }
        if survey.is_kept_whole {
            live.reach_everything(survey);
            live.reach_unlinked(&self.manifests, survey, trash).await?;
        }
        Ok(live)
    }
}

fn examined(survey: Survey, live: Live, garbage: Option<RepositoryGarbage>) -> Examined {
    Examined {
        name: survey.repository.path().into(),
        marks: live.into_marks(),
        garbage,
        findings: survey.findings,
    }
}

/// The manifests that are needed for their own sake.
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
