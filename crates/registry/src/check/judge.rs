//! The judgement on one repository: which links, manifests and layers are damaged or missing, and which images suffer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use wharf_oci::{Digest, RepoName};
use wharf_storage::{Storage, layout};

use super::{
    content::{Content, Found, Unread},
    finding::{Finding, Image, ImageReference, Images, Link as Place, Problem},
    images::Users,
    needs::Part,
};
use crate::{
    error::{Error, ReferenceRole, Result},
    registry::Options,
    tree::{link::Link, parallel::in_jobs},
};

/// What was found in one repository.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Problems that are of this repository alone.
    pub(super) findings: Vec<Finding>,
    /// Blobs that are linked and not stored, with the images that need them.
    pub(super) missing: BTreeMap<Digest, Images>,
    /// Blobs of which only their bytes can tell whether they are damaged, with the images that need them.
    pub(super) suspects: BTreeMap<Digest, Images>,
    /// Digests of all blobs that the repository has links of.
    pub(super) linked: Vec<Digest>,
    pub(super) tags: usize,
    pub(super) manifests: usize,
}

impl Judgement {
    /// Keeps what `earlier` says as well: a change that was under way in one look is over in the other.
    pub(super) fn confirm(&mut self, earlier: &Self) {
        let problems: HashSet<&Problem> = earlier.findings.iter().map(|finding| &finding.problem).collect();
        self.findings
            .retain(|finding| problems.contains(&finding.problem));
        self.missing
            .retain(|digest, _| earlier.missing.contains_key(digest));
        self.suspects
            .retain(|digest, _| earlier.suspects.contains_key(digest));
    }

    /// Whether there is anything that another look could show to be a change that was under way.
    pub(super) fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.missing.is_empty() && self.suspects.is_empty()
    }
}

/// Whether the bytes of a blob are stored.
enum Stored {
    Absent,
    OfSize(u64),
    /// That cannot be told; a check of the blob says why.
    Unreadable,
}

/// What the manifests of a repository want of one digest.
struct Wanted<'a> {
    part: &'a Part,
    /// Whether every manifest may do without it.
    is_optional: bool,
    /// Size that a manifest says, if one says any.
    size: Option<u64>,
}

/// Judges `content`.
///
/// # Errors
///
/// When the store is not available.
pub(super) async fn judge(
    storage: &Arc<dyn Storage>,
    mut content: Content,
    options: &Options,
) -> Result<Judgement> {
    content.note_histories();
    let name = content.name().parse::<RepoName>();
    let is_sparse = name.as_ref().is_ok_and(|name| options.sparse.includes(name));
    if name.is_err() && !content.is_empty() {
        let path = layout::repository(content.repository()).as_str().into();
        content.note(Problem::ForeignRepository { path });
    }
    let mut judgement = Judgement {
        findings: std::mem::take(&mut content.findings),
        tags: content.tags.iter().filter(|tag| tag.target.is_some()).count(),
        manifests: content.revisions.len(),
        ..Judgement::default()
    };
    let stored = stored_layers(storage, &content).await?;
    let mut judge = Judge {
        users: None,
        content: &content,
        is_sparse,
        judgement: &mut judgement,
    };
    judge.tags();
    judge.revisions();
    judge.parts(&stored, options);
    judge.other_layers(&stored);
    let targets = content.layers.values().filter_map(target);
    judgement.linked = content.revisions.keys().copied().chain(targets).collect();
    judgement.linked.sort_unstable();
    judgement.linked.dedup();
    Ok(judgement)
}

/// Looks at the bytes of all linked layers.
async fn stored_layers(storage: &Arc<dyn Storage>, content: &Content) -> Result<HashMap<Digest, Stored>> {
    let targets: HashSet<Digest> = content.layers.values().filter_map(target).collect();
    let storage = Arc::clone(storage);
    let look = move |digest| {
        let storage = Arc::clone(&storage);
        async move {
            let stored = match storage.stat(&layout::blob(&digest)).await {
                Ok(stat) => Stored::OfSize(stat.size),
                Err(error) if error.is_not_found() => Stored::Absent,
                Err(error) if error.is_transient() => return Err(Error::from(error)),
                Err(_) => Stored::Unreadable,
            };
            Ok((digest, stored))
        }
    };
    Ok(in_jobs(targets.into_iter().collect(), look)
        .await?
        .into_iter()
        .collect())
}

fn target(found: &Found) -> Option<Digest> {
    match found {
        Found::Read(Link::Points(target)) => Some(*target),
        Found::Read(_) | Found::Unreadable(_) => None,
    }
}

struct Judge<'a> {
    content: &'a Content,
    /// Whether the repository has only a part of what its manifests name.
    is_sparse: bool,
    /// Made when the first image suffers.
    users: Option<Users<'a>>,
    judgement: &'a mut Judgement,
}

impl Judge<'_> {
    fn images(&mut self, digest: &Digest) -> Images {
        let content = self.content;
        self.users
            .get_or_insert_with(|| Users::of(content))
            .images(digest)
    }

    fn add(&mut self, problem: Problem, images: Images) {
        self.judgement.findings.push(Finding::new(problem, images));
    }

    /// Adds a problem from which the images suffer that need `digest`.
    fn harms(&mut self, digest: &Digest, problem: Problem) {
        let images = self.images(digest);
        self.add(problem, images);
    }

    fn missing(&mut self, stored: Digest, digest: &Digest) {
        let images = self.images(digest);
        self.judgement.missing.entry(stored).or_default().extend(images);
    }

    fn suspect(&mut self, stored: Digest, digest: &Digest) {
        let images = self.images(digest);
        self.judgement.suspects.entry(stored).or_default().extend(images);
    }

    fn tags(&mut self) {
        for tag in &self.content.tags {
            let repository: Box<str> = self.content.name().into();
            let name = tag.name.clone();
            let image = Image {
                repository: repository.clone(),
                reference: ImageReference::Tag(name.clone()),
                platform: None,
            };
            let images: Images = [image].into_iter().collect();
            let problem = match &tag.link {
                Found::Read(Link::Absent) => continue,
                Found::Read(Link::Points(target)) if self.content.has_revision(target) => continue,
                Found::Read(Link::Points(target)) => Problem::DanglingTag {
                    repository,
                    tag: name,
                    digest: *target,
                },
                Found::Read(Link::Damaged(why)) => Problem::DamagedLink {
                    link: Place::Tag {
                        repository,
                        tag: name,
                    },
                    why: why.clone(),
                },
                Found::Unreadable(error) => Problem::Unreadable {
                    path: layout::tag_link(self.content.repository(), &name).as_str().into(),
                    error: error.clone(),
                },
            };
            self.add(problem, images);
        }
    }

    fn revisions(&mut self) {
        let content = self.content;
        for (digest, found) in &content.revisions {
            let problem = match found {
                Found::Read(Link::Damaged(why)) => Problem::DamagedLink {
                    link: content.revision(digest),
                    why: why.clone(),
                },
                Found::Read(Link::Points(target)) if target != digest => Problem::WrongLink {
                    link: content.revision(digest),
                    target: *target,
                },
                Found::Read(_) => continue,
                Found::Unreadable(error) => Problem::Unreadable {
                    path: layout::revision_link(content.repository(), digest)
                        .as_str()
                        .into(),
                    error: error.clone(),
                },
            };
            self.harms(digest, problem);
        }
        for (digest, unread) in &content.unread {
            match unread {
                Unread::Absent => self.missing(*digest, digest),
                Unread::Damaged | Unread::Unreadable => self.suspect(*digest, digest),
                Unread::NoManifest(why) => {
                    let (digest, why) = (*digest, why.clone());
                    self.harms(&digest, Problem::NoManifest { digest, why });
                }
            }
        }
    }

    /// Judges what the manifests name.
    fn parts(&mut self, stored: &HashMap<Digest, Stored>, options: &Options) {
        let mut wanted: BTreeMap<Digest, Wanted<'_>> = BTreeMap::new();
        for needs in self.content.manifests.values() {
            for part in &needs.parts {
                let is_optional = self.is_sparse || !needs.is_binding || part.is_optional(options);
                let of_digest = wanted.entry(part.digest).or_insert(Wanted {
                    part,
                    is_optional: true,
                    size: None,
                });
                // What needs it says what it is.
                if of_digest.is_optional && !is_optional {
                    of_digest.part = part;
                }
                of_digest.is_optional &= is_optional;
                if part.size > 0 {
                    of_digest.size = Some(part.size);
                }
            }
        }
        for (digest, wanted) in wanted {
            let is_entry = matches!(
                wanted.part.role,
                ReferenceRole::Manifest | ReferenceRole::ListedBlob
            );
            // A linked manifest is judged by itself.
            if is_entry && self.content.has_revision(&digest) {
                continue;
            }
            self.part(&digest, &wanted, stored);
        }
    }

    fn part(&mut self, digest: &Digest, wanted: &Wanted<'_>, stored: &HashMap<Digest, Stored>) {
        let content = self.content;
        let Some(found) = content.layers.get(digest) else {
            if !wanted.is_optional {
                let problem = Problem::Unlinked {
                    repository: content.name().into(),
                    digest: *digest,
                    is_manifest: wanted.part.role == ReferenceRole::Manifest,
                };
                self.harms(digest, problem);
            }
            return;
        };
        let problem = match found {
            Found::Read(Link::Points(target)) if is_wrong(digest, target) => Problem::WrongLink {
                link: content.layer(digest),
                target: *target,
            },
            Found::Read(Link::Points(target)) => return self.bytes(digest, *target, wanted.size, stored),
            Found::Read(Link::Damaged(why)) => Problem::DamagedLink {
                link: content.layer(digest),
                why: why.clone(),
            },
            Found::Read(Link::Absent) => return,
            Found::Unreadable(error) => Problem::Unreadable {
                path: layout::layer_link(content.repository(), digest).as_str().into(),
                error: error.clone(),
            },
        };
        self.harms(digest, problem);
    }

    /// Judges the bytes of a blob that a manifest names as `digest`, and that are stored as `target`.
    fn bytes(
        &mut self,
        digest: &Digest,
        target: Digest,
        size: Option<u64>,
        stored: &HashMap<Digest, Stored>,
    ) {
        match stored.get(&target) {
            None => {}
            Some(Stored::Absent) => self.missing(target, digest),
            // A manifest may say a wrong size, which the registry takes; or the bytes are not all there.
            Some(Stored::OfSize(found)) => {
                let is_empty = *found == 0 && target != Digest::of(target.algorithm(), b"");
                if is_empty || size.is_some_and(|size| size != *found) {
                    self.suspect(target, digest);
                }
            }
            Some(Stored::Unreadable) => self.suspect(target, digest),
        }
    }

    /// Judges the links of layers that no manifest names.
    fn other_layers(&mut self, stored: &HashMap<Digest, Stored>) {
        let content = self.content;
        let named = content.named();
        let mut dangling: Vec<Digest> = Vec::new();
        for (digest, found) in &content.layers {
            if named.contains(digest) {
                continue;
            }
            let problem = match found {
                Found::Read(Link::Points(target)) if is_wrong(digest, target) => Problem::WrongLink {
                    link: content.layer(digest),
                    target: *target,
                },
                Found::Read(Link::Points(target)) => {
                    if matches!(stored.get(target), Some(Stored::Absent)) {
                        dangling.push(*digest);
                    }
                    continue;
                }
                Found::Read(Link::Damaged(why)) => Problem::DamagedLink {
                    link: content.layer(digest),
                    why: why.clone(),
                },
                Found::Read(Link::Absent) => continue,
                Found::Unreadable(error) => Problem::Unreadable {
                    path: layout::layer_link(content.repository(), digest).as_str().into(),
                    error: error.clone(),
                },
            };
            self.add(problem, Images::default());
        }
        if let Some(first) = dangling.first() {
            let problem = Problem::DanglingLayers {
                repository: content.name().into(),
                count: dangling.len(),
                first: *first,
            };
            self.add(problem, Images::default());
        }
        let has_images = !content.revisions.is_empty() || content.tags.iter().any(|tag| tag.target.is_some());
        // A mirror may have been asked for layers alone.
        if !has_images && !self.is_sparse && content.layers.len() > dangling.len() {
            let problem = Problem::Remains {
                repository: content.name().into(),
                layers: content.layers.len(),
            };
            self.add(problem, Images::default());
        }
    }
}

/// Whether a link of `digest` must not hold `target`. registry:2 stores what is pushed by SHA-512 under its SHA-256.
fn is_wrong(digest: &Digest, target: &Digest) -> bool {
    digest != target && digest.algorithm() == target.algorithm()
}
