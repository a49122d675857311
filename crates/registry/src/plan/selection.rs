//! The decision which tags and manifests of a repository a deletion takes, and why others stay. It reads nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use wharf_message::Names;
use wharf_oci::{Digest, Tag, referrers_subject, referrers_tag};

use super::{Role, Staying, content::Content, words::Stays};
use crate::{
    tag_rights::TagRights,
    tree::{link::Link, manifest::Facts},
};

/// How many reasons are given.
const REASONS: usize = 100;

/// How many tags one reason names.
const NAMED: usize = 3;

/// Which way a selection goes.
pub(super) enum Wish<'a> {
    /// These tags alone.
    Tags(&'a [Tag]),
    /// These tags, and what nothing else needs then.
    TagsAndImages(&'a [Tag]),
    /// This manifest, its tags, and what nothing else needs then.
    Manifest(Digest),
    /// These tags, what nothing else needs then, and what no tag reaches, apart from these manifests, each with the reason why it is
    /// kept.
    TagsAndUntagged(&'a [Tag], &'a HashMap<Digest, Stays>),
    /// All.
    Everything,
}

/// What goes, and what stays.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) tags: BTreeMap<Tag, Digest>,
    pub(super) manifests: BTreeSet<Digest>,
    pub(super) stays: Vec<Staying>,
    pub(super) more_stays: usize,
}

impl Selection {
    fn keep(&mut self, staying: Staying) {
        match self.stays.len() < REASONS {
            true => self.stays.push(staying),
            false => self.more_stays += 1,
        }
    }
}

/// How the manifests of a repository need each other.
pub(super) struct Needs<'a> {
    content: &'a Content,
    /// Linked manifests by those that list them, as a child or as a layer.
    parents: HashMap<Digest, Vec<Digest>>,
    /// Linked manifests by their subjects.
    referrers: HashMap<Digest, Vec<Digest>>,
    /// Tags that clients make of the digest of the manifest that they are about, by that: those of cosign, and fallback tags.
    dependents: HashMap<Digest, Vec<&'a Tag>>,
    /// Indexes that list nothing but referrers of one manifest, by that: fallback tags point, or pointed, at them.
    lists: HashMap<Digest, Vec<Digest>>,
    /// Tags by the manifests at which they point.
    tags: HashMap<Digest, Vec<&'a Tag>>,
}

impl<'a> Needs<'a> {
    pub(super) fn of(content: &'a Content) -> Self {
        let mut needs = Self {
            content,
            parents: HashMap::new(),
            referrers: HashMap::new(),
            dependents: HashMap::new(),
            lists: HashMap::new(),
            tags: HashMap::new(),
        };
        for (tag, digest) in &content.tags {
            needs.tags.entry(*digest).or_default().push(tag);
            if let Some(subject) = subject_of(tag).filter(|subject| is_about(content, tag, subject)) {
                needs.dependents.entry(subject).or_default().push(tag);
            }
        }
        for (digest, facts) in &content.survey.manifests {
            for below in needs.below(facts) {
                needs.parents.entry(below).or_default().push(*digest);
            }
            if let Some(subject) = facts.subject {
                needs.referrers.entry(subject).or_default().push(*digest);
            }
            if let Some(subject) = needs.listed_subject(digest, facts) {
                needs.lists.entry(subject).or_default().push(*digest);
            }
        }
        needs
    }

    /// The manifests of the repository that `facts` list: those that cannot be pulled whole without them.
    fn below(&self, facts: &Facts) -> Vec<Digest> {
        let listed = facts.children.iter().chain(facts.blobs());
        listed
            .filter(|digest| self.content.is_linked(digest))
            .copied()
            .collect()
    }

    /// The manifest whose referrers are all that an index lists, if no tag but that manifest's own points at the index.
    fn listed_subject(&self, digest: &Digest, facts: &Facts) -> Option<Digest> {
        if facts.subject.is_some() {
            return None;
        }
        let mut subject = None;
        for child in &facts.children {
            let of_child = self.content.facts(child).map(|facts| facts.subject);
            match (of_child, subject) {
                // It is gone, or was never here.
                (None, _) => {}
                (Some(Some(found)), None) => subject = Some(found),
                (Some(Some(found)), Some(known)) if found == known => {}
                (Some(_), _) => return None,
            }
        }
        let subject = subject.filter(|subject| self.content.is_linked(subject))?;
        let own = referrers_tag(&subject);
        let is_tagged = self
            .tags
            .get(digest)
            .into_iter()
            .flatten()
            .any(|tag| **tag != own);
        (!is_tagged).then_some(subject)
    }

    /// Whether the index `parent` lists `child` only as long as that is there.
    fn is_list_for(&self, parent: &Digest, child: &Digest) -> bool {
        let subject = self.content.facts(child).and_then(|facts| facts.subject);
        let lists = subject.and_then(|subject| self.lists.get(&subject));
        lists.is_some_and(|lists| lists.contains(parent))
    }

    /// The manifests that list `child`, and that it would leave broken.
    fn needing(&self, child: &Digest) -> impl Iterator<Item = &Digest> {
        self.listing(child)
            .filter(move |parent| !self.is_list_for(parent, child))
    }

    /// The manifests that list `child`.
    pub(super) fn listing(&self, child: &Digest) -> impl Iterator<Item = &Digest> {
        self.parents.get(child).into_iter().flatten()
    }

    /// How many manifests are about `subject`.
    pub(super) fn referrers_of(&self, subject: &Digest) -> usize {
        self.referrers.get(subject).map_or(0, Vec::len)
    }

    /// Whether a tag goes and stays with the manifest of which it is made.
    pub(super) fn is_dependent(&self, tag: &Tag) -> bool {
        about(self, tag).is_some()
    }

    /// Everything that `roots` need or are about, and what is about that: what a client that has one of them may ask for.
    fn alive(&self, roots: impl IntoIterator<Item = Digest>, gone: &Gone<'_>) -> HashSet<Digest> {
        let mut ahead: Vec<Digest> = roots.into_iter().collect();
        let mut alive = HashSet::new();
        while let Some(digest) = ahead.pop() {
            if gone.manifest == Some(digest) || !alive.insert(digest) {
                continue;
            }
            self.follow(&digest, gone.tags, &mut ahead);
            if let Some(facts) = self.content.facts(&digest) {
                ahead.extend(facts.subject.filter(|subject| self.content.is_linked(subject)));
            }
        }
        alive
    }

    /// Everything below `seeds`: children, referrers, and what tags that are made of their digests point at.
    pub(super) fn reached(&self, seeds: impl IntoIterator<Item = Digest>) -> HashSet<Digest> {
        let mut ahead: Vec<Digest> = seeds.into_iter().collect();
        let mut reached = HashSet::new();
        while let Some(digest) = ahead.pop() {
            if reached.insert(digest) {
                self.follow(&digest, &BTreeSet::new(), &mut ahead);
            }
        }
        reached
    }

    fn follow(&self, digest: &Digest, without: &BTreeSet<Tag>, ahead: &mut Vec<Digest>) {
        if let Some(facts) = self.content.facts(digest) {
            ahead.extend(&facts.children);
            ahead.extend(facts.blobs().filter(|blob| self.content.is_linked(blob)));
        }
        for about in [&self.referrers, &self.lists] {
            ahead.extend(about.get(digest).into_iter().flatten());
        }
        let dependents = self.dependents.get(digest).into_iter().flatten();
        let dependents = dependents.filter(|tag| !without.contains(**tag));
        ahead.extend(dependents.filter_map(|tag| self.content.tags.get(*tag)));
    }

    /// The tags of indexes that list `digest`, themselves or through an index between.
    pub(super) fn tags_above(&self, digest: &Digest) -> BTreeSet<&'a Tag> {
        let mut seen = HashSet::from([*digest]);
        let mut ahead: Vec<Digest> = self.needing(digest).copied().collect();
        let mut tags = BTreeSet::new();
        while let Some(above) = ahead.pop() {
            if seen.insert(above) {
                tags.extend(self.tags.get(&above).into_iter().flatten());
                ahead.extend(self.needing(&above));
            }
        }
        tags
    }
}

/// The manifest that `tag` is about, because it is made of the digest of that.
pub(super) fn about(needs: &Needs<'_>, tag: &Tag) -> Option<Digest> {
    subject_of(tag).filter(|subject| is_about(needs.content, tag, subject))
}

/// Whether a tag that is made of the digest `subject` is about that manifest. One that points at it is a tag of it like any other.
fn is_about(content: &Content, tag: &Tag, subject: &Digest) -> bool {
    content.is_linked(subject) && content.tags.get(tag) != Some(subject)
}

/// What goes whatever else needs it.
struct Gone<'a> {
    tags: &'a BTreeSet<Tag>,
    manifest: Option<Digest>,
}

/// Decides what goes. Reasons name no tag that the client may not see.
pub(super) fn select(
    content: &Content,
    needs: &Needs<'_>,
    wish: &Wish<'_>,
    rights: &dyn TagRights,
) -> Selection {
    let mut selection = Selection::default();
    let manifest = match wish {
        Wish::Manifest(digest) => Some(*digest),
        _ => None,
    };
    let wished: BTreeSet<Tag> = match wish {
        Wish::Tags(tags) | Wish::TagsAndImages(tags) | Wish::TagsAndUntagged(tags, _) => {
            tags.iter().cloned().collect()
        }
        Wish::Manifest(digest) => needs
            .tags
            .get(digest)
            .into_iter()
            .flatten()
            .copied()
            .cloned()
            .collect(),
        Wish::Everything => content.tags.keys().cloned().collect(),
    };
    let with_digest = |tag: &Tag| Some((tag.clone(), *content.tags.get(tag)?));
    selection.tags = wished.iter().filter_map(with_digest).collect();
    match wish {
        Wish::Tags(_) => {
            for digest in selection.tags.values().copied().collect::<BTreeSet<Digest>>() {
                selection.keep(Staying::manifest(digest, Stays::TagsAlone));
            }
            return selection;
        }
        Wish::Everything => {
            selection.manifests = content.survey.revisions.iter().copied().collect();
            return selection;
        }
        Wish::TagsAndImages(_) | Wish::Manifest(_) | Wish::TagsAndUntagged(..) => {}
    }
    if let Some(why) = unknown_needs(content, manifest, &wished) {
        selection.manifests.extend(manifest);
        selection.keep(Staying::other(why));
        return selection;
    }
    let gone = Gone {
        tags: &wished,
        manifest,
    };
    let seeds: HashSet<Digest> = match wish {
        Wish::TagsAndUntagged(..) => content.survey.revisions.iter().copied().collect(),
        _ => needs.reached(selection.tags.values().copied().chain(manifest)),
    };
    let (alive, going) = settle(content, needs, (&seeds, &gone), wish, &mut selection);
    selection.manifests = going;
    explain(needs, wish, (&seeds, &alive), &mut selection, rights);
    selection
}

/// Why nothing may go that nothing seems to need, when the tags `wished` and the named manifest go: what some manifests that stay need
/// is unknown. `None`: it is known.
fn unknown_needs(content: &Content, manifest: Option<Digest>, wished: &BTreeSet<Tag>) -> Option<Stays> {
    let unreadable = content
        .survey
        .revisions
        .iter()
        .find(|digest| Some(**digest) != manifest && !content.survey.manifests.contains_key(digest));
    if let Some(digest) = unreadable {
        return Some(Stays::UnreadManifest { digest: *digest });
    }
    let staying = content.tags.iter().filter(|(tag, _)| !wished.contains(*tag));
    let staying = staying.map(|(_, digest)| digest).chain(&content.strangers);
    let mut unreadable = staying.filter(|digest| content.unreadable.contains(*digest));
    if let Some(digest) = unreadable.next() {
        return Some(Stays::UnreadTagged { digest: *digest });
    }
    content
        .survey
        .has_unknown_algorithms
        .then_some(Stays::UnknownAlgorithm)
}

/// What is alive, and what goes of the manifests in `seeds`, when each tag that depends on a manifest went or stayed with it, and no
/// manifest stayed without one that it lists.
fn settle(
    content: &Content,
    needs: &Needs<'_>,
    (seeds, gone): (&HashSet<Digest>, &Gone<'_>),
    wish: &Wish<'_>,
    selection: &mut Selection,
) -> (HashSet<Digest>, BTreeSet<Digest>) {
    let staying = content.tags.iter().filter(|(tag, _)| !gone.tags.contains(*tag));
    let ordinary = staying.filter(|(tag, _)| !needs.is_dependent(tag));
    let mut roots: HashSet<Digest> = ordinary.map(|(_, digest)| *digest).collect();
    roots.extend(&content.strangers);
    for damaged in content
        .survey
        .tags
        .iter()
        .filter(|tag| matches!(tag.current, Link::Damaged(_)))
    {
        roots.extend(damaged.history.iter().filter(|digest| content.is_linked(digest)));
    }
    roots.extend(
        content
            .survey
            .pinned
            .iter()
            .filter(|digest| content.is_linked(digest)),
    );
    if let Wish::TagsAndUntagged(_, kept) = wish {
        roots.extend(kept.keys());
    }
    loop {
        let alive = needs.alive(roots.iter().copied(), gone);
        let goes = |digest: &Digest| content.is_linked(digest) && !alive.contains(digest);
        let going: BTreeSet<Digest> = seeds.iter().filter(|digest| goes(digest)).copied().collect();
        let before = roots.len();
        for (tag, digest) in &content.tags {
            if gone.tags.contains(tag) || !needs.is_dependent(tag) {
                continue;
            }
            let goes_along = subject_of(tag).is_some_and(|subject| going.contains(&subject));
            match goes_along {
                true => _ = selection.tags.insert(tag.clone(), *digest),
                false => {
                    selection.tags.remove(tag);
                    roots.extend(going.contains(digest).then_some(*digest));
                }
            }
        }
        for digest in &going {
            let is_needed = needs.needing(digest).any(|parent| !going.contains(parent));
            if is_needed && gone.manifest != Some(*digest) {
                roots.insert(*digest);
            }
        }
        if roots.len() == before {
            return (alive, going);
        }
    }
}

/// Says of what one might expect to go why it stays.
fn explain(
    needs: &Needs<'_>,
    wish: &Wish<'_>,
    (seeds, alive): (&HashSet<Digest>, &HashSet<Digest>),
    selection: &mut Selection,
    rights: &dyn TagRights,
) {
    let mut staying: Vec<Digest> = seeds
        .iter()
        .filter(|digest| needs.content.is_linked(digest) && !selection.manifests.contains(digest))
        .copied()
        .collect();
    staying.sort_unstable();
    let none = Gone {
        tags: &BTreeSet::new(),
        manifest: None,
    };
    // Of manifests without a tag, those that a tag reaches are what one expects to stay, but for the images of tags that go.
    let (tagged, deleted) = match wish {
        Wish::TagsAndUntagged(tags, _) => {
            let deleted = tags.iter().filter_map(|tag| needs.content.tags.get(tag));
            (
                needs.alive(needs.content.tags.values().copied(), &none),
                needs.reached(deleted.copied()),
            )
        }
        _ => (HashSet::new(), HashSet::new()),
    };
    for digest in staying {
        let tags = needs.tags.get(&digest).into_iter().flatten();
        let own: Vec<&Tag> = tags
            .copied()
            .filter(|tag| !selection.tags.contains_key(*tag))
            .collect();
        let why = match wish {
            Wish::TagsAndUntagged(_, kept)
                if let Some(why) = kept.get(&digest).filter(|_| deleted.contains(&digest)) =>
            {
                why.clone()
            }
            Wish::TagsAndUntagged(_, kept) if !deleted.contains(&digest) => match kept.get(&digest) {
                Some(why) if !tagged.contains(&digest) => why.clone(),
                _ => continue,
            },
            _ if !own.is_empty() => match named(&own, rights) {
                Named::Hidden => Stays::AlsoHiddenTag,
                Named::One(tag) => Stays::AlsoTag { tag },
                Named::All(tags) => Stays::AlsoTags { tags },
                Named::Some(tags, n) => Stays::AlsoMoreTags { tags, n },
            },
            _ => {
                let above: Vec<&Tag> = needs.tags_above(&digest).into_iter().collect();
                let above: Vec<&Tag> = above
                    .into_iter()
                    .filter(|tag| !selection.tags.contains_key(*tag))
                    .collect();
                let parent = needs
                    .needing(&digest)
                    .find(|parent| !selection.manifests.contains(parent));
                match (above.is_empty(), parent) {
                    (false, _) => match named(&above, rights) {
                        Named::Hidden => Stays::UnderHiddenTag,
                        Named::One(tag) => Stays::UnderTag { tag },
                        Named::All(tags) => Stays::UnderTags { tags },
                        Named::Some(tags, n) => Stays::UnderMoreTags { tags, n },
                    },
                    (true, Some(parent)) => Stays::Listed { parent: *parent },
                    (true, None) if alive.contains(&digest) => Stays::Belongs,
                    (true, None) => continue,
                }
            }
        };
        selection.keep(Staying::manifest(digest, why));
    }
}

/// Some tags, as far as a reason names them.
enum Named {
    /// The client may see none of them.
    Hidden,
    /// The only one.
    One(String),
    /// All of them.
    All(Names),
    /// Some of them, and how many more there are.
    Some(Names, usize),
}

fn named(tags: &[&Tag], rights: &dyn TagRights) -> Named {
    let seen = tags.iter().filter(|tag| rights.may_see(tag));
    let seen: Vec<&Tag> = seen.take(NAMED).copied().collect();
    match (seen.as_slice(), tags.len() - seen.len()) {
        ([], _) => Named::Hidden,
        ([tag], 0) => Named::One(tag.to_string()),
        (tags, 0) => Named::All(tags.iter().collect()),
        (tags, more) => Named::Some(tags.iter().collect(), more),
    }
}

/// The manifest of whose digest a tag is made: a fallback tag of the specification, or one of cosign.
pub(super) fn subject_of(tag: &Tag) -> Option<Digest> {
    const OF_COSIGN: [&str; 3] = [".sig", ".att", ".sbom"];
    let name = tag.as_str();
    let stem = OF_COSIGN.iter().find_map(|suffix| name.strip_suffix(suffix));
    referrers_subject(&stem.unwrap_or(name).parse().ok()?)
}

/// What the manifest `digest` is among those that go.
pub(super) fn role(digest: &Digest, facts: Option<&Arc<Facts>>, children: &HashSet<Digest>) -> Role {
    match facts {
        None => Role::Unreadable,
        Some(facts) if facts.subject.is_some() => Role::Referrer,
        Some(facts) if facts.entries().next().is_some() => Role::Index,
        Some(_) if children.contains(digest) => Role::Child,
        Some(_) => Role::Image,
    }
}
