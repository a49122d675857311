//! One repository, marked: from its roots to everything that they reach, and what it has beyond that.

use std::{collections::HashSet, sync::Arc};

use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::{
    Storage,
    layout::{InTree as _, Repository},
};

use super::{
    emptied::Emptied,
    garbage,
    known_links::KnownLinks,
    listing::Found,
    live::Live,
    portion::Portion,
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
    /// The size in bytes of each of `marks`, as manifests state it; 0: none does.
    pub(super) sizes: Vec<u64>,
    /// Garbage of the repository; `None` when it loses nothing.
    pub(super) garbage: Option<RepositoryGarbage>,
    pub(super) findings: Vec<Finding>,
    pub(super) emptied: Emptied,
}

/// What it takes to examine repositories.
#[derive(Debug, Clone)]
pub(super) struct Examination {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) manifests: Arc<Manifests>,
    pub(super) links: Arc<KnownLinks>,
    pub(super) portion: Arc<Portion>,
    pub(super) options: CollectOptions,
}

impl Examination {
    /// Works out what the repository `found` needs, and what it has without needing it. `trash` has what records of its deletions
    /// keep. `None` when the directory only holds other repositories.
    ///
    /// # Errors
    ///
    /// Errors of listing a directory.
    pub(super) async fn repository(&self, found: Found, trash: &Roots) -> Result<Option<Examined>> {
        let Some(mut survey) = self.survey(found).await? else {
            return Ok(None);
        };
        let mut live = self.mark(&mut survey, trash).await?;
        let (mut dead_layers, mut unlinked) = (Vec::new(), Vec::new());
        for (layer, linked) in garbage::dead_layers(&self.storage, &survey, &live, self.options).await? {
            match linked.map(|linked| self.options.is_young(linked)) {
                None => unlinked.push(layer),
                Some(true) => live.name(layer),
                // Links that this run does not deal with are not kept in memory.
                Some(false) => dead_layers.extend(
                    self.portion
                        .takes_link(&survey.repository, &layer)
                        .then_some(layer),
                ),
            }
        }
        live.follow_links(&self.storage, &mut survey, self.options)
            .await?;
        let garbage = match survey.is_kept_whole {
            true => None,
            false => garbage::of_repository(&survey, &live, &dead_layers, self.options),
        };
        let emptied = match self.storage.is_shared() {
            // A bucket has no directories.
            true => Emptied::default(),
            false => garbage::emptied(&survey, &unlinked),
        };
        Ok(Some(Examined {
            emptied,
            ..examined(survey, live, garbage)
        }))
    }

    /// Looks at all that the repository `found` has; `None` when the directory only holds other repositories.
    ///
    /// # Errors
    ///
    /// Errors of listing a directory.
    pub(super) async fn survey(&self, found: Found) -> Result<Option<Survey>> {
        Survey::of(&self.storage, &self.manifests, &self.links, found, self.options).await
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
        live.follow_links(&self.storage, &mut survey, self.options)
            .await?;
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
    let (marks, sizes) = live.into_sized_marks();
    Examined {
        name: survey.repository.path().into(),
        marks,
        sizes,
        garbage,
        findings: survey.findings,
        emptied: Emptied::default(),
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
