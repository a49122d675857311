//! Making a plan: reading the repository, deciding, and naming the outcome.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::SystemTime,
};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{Version, layout};

use super::{
    Deletion, Plan, PlannedManifest, PlannedTag, Staying,
    content::{Content, TagObject, each_tag_object, stats_below},
    retained::{Ages, PlannedEntry},
    selection::{Needs, Selection, Wish, role, select},
};
use crate::{
    collect::{garbage::doomed_manifests, survey},
    delete::{refusals::require_deletable, unknown},
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    retention::Decided,
    tag_rights::TagRights,
    trash::{TrashedEntry, TrashedLayer},
    tree::link::Link,
};

/// A plan, and what applying it takes.
pub(super) struct Made {
    pub(super) plan: Plan,
    pub(super) content: Content,
    /// Links of layers that go.
    pub(super) layers: Vec<LayerLink>,
    /// Entries that go from histories of tags that stay.
    pub(super) entries: Vec<PlannedEntry>,
}

/// The link of a layer as it was when the plan was made.
pub(super) struct LayerLink {
    pub(super) layer: TrashedLayer,
    pub(super) version: Option<Version>,
}

impl Registry {
    /// What `deletion` would remove from `name` for a client with these `rights`. Nothing changes.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`] and [`Error::ManifestUnknown`] when there is nothing of that name, [`Error::NeededByIndex`],
    /// [`Error::TagDenied`] when the client may not delete a tag that would go; [`Error::Exhausted`] when others are planned for too
    /// long; errors of the store.
    pub async fn plan_deletion(
        &self,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
    ) -> Result<Plan> {
        let _turn = turn(&self.budget().plans).await?;
        Ok(self.make_plan(name, deletion, rights).await?.plan)
    }

    /// As [`plan_deletion`](Self::plan_deletion), with the bytes of what goes. That reads what every repository needs, as a
    /// collection does.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn plan_deletion_with_bytes(
        &self,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
    ) -> Result<Plan> {
        let _turn = turn(&self.budget().plans).await?;
        let Made {
            mut plan,
            content,
            layers,
            ..
        } = self.make_plan(name, deletion, rights).await?;
        let loss = self.loss_of(&plan, &content, &layers).await?;
        let (bytes, _) = self.bytes_of(&[loss]).await?;
        plan.bytes = Some(bytes);
        Ok(plan)
    }

    pub(super) async fn make_plan(
        &self,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
    ) -> Result<Made> {
        let content = Content::read(self, name).await?;
        let needs = Needs::of(&content);
        let now = SystemTime::now();
        let (kept, decided_tags): (HashMap<Digest, &'static str>, Vec<Tag>);
        let (mut decided, mut ages) = (Decided::default(), None);
        let wish = match deletion {
            Deletion::Tags { tags, keep_images } => {
                // Before it is said whether they exist.
                if let Some(tag) = tags.iter().find(|tag| !rights.may_delete(tag)) {
                    return Err(Error::TagDenied {
                        tag: rights.may_see(tag).then(|| tag.clone()),
                    });
                }
                if let Some(tag) = tags.iter().find(|tag| !content.tags.contains_key(*tag)) {
                    return Err(unknown(name, tag.as_str().to_owned(), None));
                }
                match keep_images {
                    true => Wish::Tags(tags),
                    false => Wish::TagsAndImages(tags),
                }
            }
            Deletion::Manifest { digest } => {
                self.require_removable(name, digest, (&content, &needs), rights)
                    .await?;
                Wish::Manifest(*digest)
            }
            Deletion::Untagged {
                min_age,
                keep_history,
            } => {
                let wanted = Ages {
                    manifests: *min_age,
                    history: *keep_history,
                };
                ages = Some(wanted);
                let none = HashSet::new();
                kept = self.young_manifests(name, &content, (wanted, now), &none).await?;
                Wish::TagsAndUntagged(&[], &kept)
            }
            Deletion::Retention { policy, pulls } => {
                let rules = (&**policy, pulls.as_deref());
                decided = self.decide_tags(name, (&content, &needs), rules, now).await?;
                let going = decided.verdicts.iter().filter(|verdict| verdict.goes);
                decided_tags = going.map(|verdict| verdict.tag.clone()).collect();
                match policy.untagged(name) {
                    None => Wish::TagsAndImages(&decided_tags),
                    Some(age) => {
                        let wanted = Ages {
                            manifests: age,
                            history: policy.keep_history,
                        };
                        ages = Some(wanted);
                        let leaving = decided_tags.iter().cloned().collect();
                        kept = self
                            .young_manifests(name, &content, (wanted, now), &leaving)
                            .await?;
                        Wish::TagsAndUntagged(&decided_tags, &kept)
                    }
                }
            }
            Deletion::Repository => Wish::Everything,
        };
        let mut selection = select(&content, &needs, &wish, rights);
        require_deletable(selection.tags.keys(), rights)?;
        let layers = match deletion {
            Deletion::Repository => self.layer_links(name, &content, &mut selection).await?,
            _ => Vec::new(),
        };
        let entries = self
            .planned_entries(name, &content, &selection, ages.map(|ages| (ages, now)))
            .await?;
        let mut plan = plan(name, deletion, (&content, selection), (&layers, &entries));
        plan.verdicts = decided.verdicts;
        plan.refused = decided.refused;
        Ok(Made {
            plan,
            content,
            layers,
            entries,
        })
    }

    /// The entries that go from the histories of tags that stay: those of manifests that go, and, with `ages`, those that are too
    /// old, or that lead nowhere.
    async fn planned_entries(
        &self,
        name: &RepoName,
        content: &Content,
        selection: &Selection,
        ages: Option<(Ages, SystemTime)>,
    ) -> Result<Vec<PlannedEntry>> {
        let mut entries = Vec::new();
        each_tag_object(&*self.storage, name, |tag, object, since| {
            let TagObject::Entry(digest) = object else {
                return;
            };
            // Tags go with their histories, and those that point nowhere keep theirs.
            let Some(current) = content
                .tags
                .get(tag)
                .filter(|_| !selection.tags.contains_key(tag))
            else {
                return;
            };
            let goes_along = selection.manifests.contains(&digest);
            // As long as the manifest counts as young, the tag can go back to it.
            let is_expired = ages.is_some_and(|(ages, now)| {
                let is_old = |age| !Ages::is_young(since, now, age);
                let is_dangling = !content.is_linked(&digest);
                *current != digest && is_old(ages.manifests) && (is_dangling || is_old(ages.history))
            });
            if goes_along || is_expired {
                let tag = tag.clone();
                entries.push(PlannedEntry {
                    entry: TrashedEntry { tag, digest, since },
                    is_expired,
                });
            }
        })
        .await?;
        Ok(entries)
    }

    /// Checks that the manifest `digest` is there, and that no tagged index needs it.
    async fn require_removable(
        &self,
        name: &RepoName,
        digest: &Digest,
        (content, needs): (&Content, &Needs<'_>),
        rights: &dyn TagRights,
    ) -> Result<()> {
        if !content.is_linked(digest) {
            let hint = self.owner_of(name, digest, rights).await?;
            return Err(unknown(name, digest.to_string(), hint));
        }
        let above = needs.tags_above(digest);
        if above.is_empty() {
            return Ok(());
        }
        let seen = above.iter().filter(|tag| rights.may_see(tag));
        let indexes: Vec<String> = seen.map(|tag| format!("{name}:{tag}")).collect();
        Err(Error::NeededByIndex {
            digest: *digest,
            hides: indexes.len() < above.len(),
            indexes,
            // A plan never breaks an image.
            may_force: false,
        })
    }

    /// The links of all layers of `name`. One that holds no digest goes as well, and cannot be restored.
    async fn layer_links(
        &self,
        name: &RepoName,
        content: &Content,
        selection: &mut Selection,
    ) -> Result<Vec<LayerLink>> {
        let mut stats = stats_below(&*self.storage, &layout::layers(name)).await?;
        let repository = name.clone();
        let links = survey::links(&self.storage, content.survey.layers.clone(), move |digest| {
            layout::layer_link(&repository, digest)
        });
        let mut layers = Vec::new();
        for (digest, link) in links.await? {
            let stored = match link {
                Link::Points(stored) => stored,
                Link::Damaged(_) => digest,
                Link::Absent => continue,
            };
            let Some(stat) = stats.remove(&digest) else {
                continue;
            };
            layers.push(LayerLink {
                layer: TrashedLayer {
                    digest,
                    stored: (stored != digest).then_some(stored),
                    since: stat.modified,
                },
                version: stat.version,
            });
        }
        if content.survey.has_unknown_entries {
            let why = "files in the directory of the repository that are not the registry's";
            selection.stays.push(Staying::other(why));
        }
        Ok(layers)
    }
}

fn plan(
    name: &RepoName,
    deletion: &Deletion,
    (content, selection): (&Content, Selection),
    (layers, entries): (&[LayerLink], &[PlannedEntry]),
) -> Plan {
    let Selection {
        tags,
        manifests,
        stays,
        more_stays,
    } = selection;
    let children: HashSet<Digest> = manifests
        .iter()
        .filter_map(|digest| content.survey.manifests.get(digest))
        .flat_map(|facts| facts.children.iter().copied())
        .collect();
    let planned = |digest: Digest, generation| PlannedManifest {
        role: role(&digest, content.survey.manifests.get(&digest), &children),
        digest,
        generation,
    };
    let manifests = doomed_manifests(&content.survey, manifests.iter(), &[]);
    let manifests: Vec<PlannedManifest> = manifests
        .into_iter()
        .map(|manifest| planned(manifest.digest, manifest.generation))
        .collect();
    let history = entries.iter().map(|planned| PlannedTag {
        tag: planned.entry.tag.clone(),
        digest: planned.entry.digest,
    });
    let mut plan = Plan {
        id: Digest::sha256_of(b""),
        repository: name.clone(),
        kind: deletion.kind(),
        tags: tags
            .into_iter()
            .map(|(tag, digest)| PlannedTag { tag, digest })
            .collect(),
        manifests,
        layers: layers.len(),
        history: history.collect::<BTreeSet<_>>().into_iter().collect(),
        stays,
        more_stays,
        bytes: None,
        verdicts: Vec::new(),
        refused: None,
    };
    plan.id = identity(&plan, layers);
    plan
}

/// The digest of what goes, in an order that does not depend on how it was found.
fn identity(plan: &Plan, layers: &[LayerLink]) -> Digest {
    let tag = |kind: &str, tag: &Tag, digest: &Digest| format!("{kind} {tag} {digest}");
    let tags = plan
        .tags
        .iter()
        .map(|planned| tag("tag", &planned.tag, &planned.digest));
    let history = plan
        .history
        .iter()
        .map(|entry| tag("entry", &entry.tag, &entry.digest));
    let manifests = plan
        .manifests
        .iter()
        .map(|manifest| format!("manifest {}", manifest.digest));
    let layers = layers.iter().map(|link| format!("layer {}", link.layer.digest));
    let mut lines: Vec<String> = tags.chain(history).chain(manifests).chain(layers).collect();
    lines.sort_unstable();
    let head = format!("repository {}\n", plan.repository);
    Digest::sha256_of((head + &lines.join("\n")).as_bytes())
}
