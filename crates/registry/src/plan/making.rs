//! Making a plan: reading the repository, deciding, and naming the outcome.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::SystemTime,
};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{Version, layout};

use super::{
    Deletion, Plan, PlannedManifest, PlannedTag, Staying,
    content::{Content, each_history, stats_below},
    order::Order,
    retained::{Ages, PlannedEntry},
    selection::{Needs, Selection, Wish, role, select},
    words::Stays,
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

/// A plan, and what applying it takes: what is known of what goes, and nothing of the rest of the repository.
pub(super) struct Made {
    pub(super) plan: Plan,
    pub(super) order: Order,
    /// What is known of the manifests that go.
    manifests: HashMap<Digest, Going>,
    /// Links of layers that go.
    pub(super) layers: Vec<LayerLink>,
    /// Entries that go from histories of tags that stay.
    pub(super) entries: Vec<PlannedEntry>,
    /// Tags that point nowhere.
    pub(super) broken: Vec<Tag>,
}

/// What is known of a manifest that goes.
struct Going {
    /// When its link was written.
    since: SystemTime,
    /// The manifest that it is about.
    subject: Option<Digest>,
}

impl Made {
    /// When the link of the manifest `digest`, which goes, was written.
    pub(super) fn since(&self, digest: &Digest) -> SystemTime {
        let going = self.manifests.get(digest);
        going.map_or_else(SystemTime::now, |going| going.since)
    }

    /// The manifest that `digest` is about, if it goes and is about one.
    pub(super) fn subject(&self, digest: &Digest) -> Option<Digest> {
        self.manifests.get(digest)?.subject
    }

    /// Whether the manifest `digest` goes.
    pub(super) fn takes(&self, digest: &Digest) -> bool {
        self.manifests.contains_key(digest)
    }

    /// About how many bytes it takes in memory to apply the plan.
    pub(super) fn weight(&self) -> usize {
        let Plan { tags, manifests, .. } = &self.plan;
        let pointers = tags.len() + manifests.len() + self.layers.len() + self.entries.len();
        (pointers + self.broken.len()).saturating_mul(POINTER)
    }
}

/// About how many bytes a pointer takes in memory: in the plan, in the record, and among what went.
const POINTER: usize = 512;

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
        let (made, _content) = self.make_plan(name, deletion, rights).await?;
        Ok(made.plan)
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
        let (mut plan, loss) = self.plan_and_loss(name, deletion, rights).await?;
        let (bytes, _) = self.bytes_of(&[loss]).await?;
        plan.bytes = Some(bytes);
        Ok(plan)
    }

    /// The plan of `deletion`, and the content of the repository, of which it is made.
    ///
    /// # Errors
    ///
    /// As [`plan_deletion`](Self::plan_deletion).
    pub(super) async fn make_plan(
        &self,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
    ) -> Result<(Made, Content)> {
        let content = Content::read(self, name).await?;
        let needs = Needs::of(&content);
        let now = SystemTime::now();
        let (kept, decided_tags): (HashMap<Digest, Stays>, Vec<Tag>);
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
                kept = self
                    .young_manifests(name, &content, (wanted, now), &none, rights)
                    .await?;
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
                            .young_manifests(name, &content, (wanted, now), &leaving, rights)
                            .await?;
                        Wish::TagsAndUntagged(&decided_tags, &kept)
                    }
                }
            }
            Deletion::Repository => Wish::Everything,
        };
        let mut selection = select(&content, &needs, &wish, rights);
        require_deletable(selection.tags.keys(), rights)?;
        let (layers, earlier) = match deletion {
            Deletion::Repository => (
                self.layer_links(name, &content, &mut selection).await?,
                self.trash.ids_of(name).await?,
            ),
            _ => (Vec::new(), Vec::new()),
        };
        let entries = self
            .planned_entries(name, &content, &selection, ages.map(|ages| (ages, now, rights)))
            .await?;
        let mut plan = plan(name, deletion, (&content, selection), (&layers, &entries));
        plan.verdicts = decided.verdicts;
        plan.refused = decided.refused;
        plan.earlier = earlier;
        plan.id = identity(&plan, &layers);
        let going = |digest: &Digest| Going {
            since: content.since(digest),
            subject: content
                .survey
                .manifests
                .get(digest)
                .and_then(|facts| facts.subject),
        };
        let manifests = plan.manifests.iter().map(|planned| &planned.digest);
        let manifests = manifests.map(|digest| (*digest, going(digest))).collect();
        let broken = content.survey.tags.iter();
        let broken = broken.filter(|tag| !matches!(tag.current, Link::Points(_)));
        let order = Order::of(&needs, deletion, &plan);
        plan.manifests
            .sort_by_key(|manifest| order.wave_of(&manifest.digest));
        let made = Made {
            order,
            manifests,
            broken: broken.filter_map(|tag| tag.name.parse().ok()).collect(),
            plan,
            layers,
            entries,
        };
        Ok((made, content))
    }

    /// The entries that go from the histories of tags that stay: those of manifests that go, and, with `ages`, those that are too
    /// old, or that lead nowhere.
    async fn planned_entries(
        &self,
        name: &RepoName,
        content: &Content,
        selection: &Selection,
        ages: Option<(Ages, SystemTime, &dyn TagRights)>,
    ) -> Result<Vec<PlannedEntry>> {
        let mut entries = Vec::new();
        each_history(&*self.storage, name, |tag, history| {
            // Tags go with their histories, and those that point nowhere keep theirs.
            let stays = content
                .tags
                .get(tag)
                .filter(|_| !selection.tags.contains_key(tag));
            let Some(current) = stays else { return };
            for past in history {
                // As long as the manifest counts as young, the tag can go back to it.
                let is_expired = ages.is_some_and(|(ages, now, rights)| {
                    let is_old = |age| !Ages::is_young(past.left, now, age);
                    let is_dangling = !content.is_linked(&past.digest);
                    *current != past.digest
                        && rights.may_delete(tag)
                        && is_old(ages.manifests)
                        && (is_dangling || is_old(ages.history))
                });
                if selection.manifests.contains(&past.digest) || is_expired {
                    entries.push(PlannedEntry {
                        entry: TrashedEntry {
                            tag: tag.clone(),
                            digest: past.digest,
                            since: past.since,
                        },
                        is_expired,
                    });
                }
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
            selection.stays.push(Staying::other(Stays::ForeignFiles));
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
    Plan {
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
        earlier: Vec::new(),
        stays,
        more_stays,
        bytes: None,
        verdicts: Vec::new(),
        refused: None,
    }
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
    let earlier = plan.earlier.iter().map(|id| format!("deletion {id}"));
    let lines = tags.chain(history).chain(manifests).chain(layers);
    let mut lines: Vec<String> = lines.chain(earlier).collect();
    lines.sort_unstable();
    let head = format!("repository {}\n", plan.repository);
    Digest::sha256_of((head + &lines.join("\n")).as_bytes())
}
