//! What images and other artifacts share: the head of their pages, what is attached, and what stands at their side.

use wharf_access::Verb;
use wharf_oci::{Reference, RepoName};
use wharf_pages::{Digest, Line, Link, RecentManifest, Referrer, ReferrerGroup, Section, Subject};

use super::{call::Call, commands, failure::Result, fields::query_of, forms::optional_time, names};
use crate::admin::{kind_of_attached, kind_of_attached_tag, wire};

/// Entries of the history of a tag that are shown beside an image.
const RECENT: &str = "5";

/// Tags of a manifest that are shown beside it.
const TAGS: usize = 50;

/// The annotation by which BuildKit marks an attestation in an index, and its value.
const ATTESTATION: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");

/// What images and other artifacts share, without what depends on their kind.
pub(super) fn subject(
    call: Call<'_>,
    (name, reference): (&RepoName, &Reference),
    found: &wire::Image,
) -> Subject {
    let manifest = found.manifest.as_ref();
    let digest = Digest::from(found.digest.as_str());
    let (tag, shown) = match reference {
        Reference::Tag(tag) => (Some(tag.as_str()), tag.to_string()),
        Reference::Digest(_) => (None, digest.short().to_owned()),
    };
    let image = names::of_image(name, reference);
    let host = commands::host(call);
    let address = format!("{host}/{image}");
    let mut commands = commands::of_image(call, &address);
    let more_commands = commands.split_off(1);
    if tag.is_some() {
        let line = commands::pull(call, &format!("{host}/{name}@{digest}"));
        commands.push(commands::by_digest(&call.page(), line));
    }
    let field = if tag.is_some() { "tag" } else { "manifest" };
    let delete = query_of([(field, reference.to_string().as_str())].into_iter());
    let problem = match (&found.problem, manifest) {
        (None, Some(manifest)) => call.said(manifest.problem.as_ref(), &manifest.problem_messages),
        (problem, _) => call.said(problem.as_ref(), &found.problem_messages),
    };
    let tags = found.tags.iter().take(TAGS).map(|tag| Link {
        href: call.url(&format!("/image/{name}:{tag}")),
        label: tag.as_str().into(),
    });
    let mut subject = Subject {
        deletes: call.offers_deletion() && call.may(Verb::Delete, name, tag),
        delete: format!("{}?{delete}", call.url(&format!("/delete/{name}"))),
        name: image,
        repository: name.to_string(),
        reference: shown,
        is_tag: tag.is_some(),
        address,
        kind: manifest.map(|manifest| manifest.kind.clone()).unwrap_or_default(),
        signed: false,
        problem,
        left_out: call.page().said_each(&found.left_out, &found.left_out_messages),
        description: None,
        size: manifest.and_then(|manifest| manifest.size),
        pushed: optional_time(found.pushed.as_ref()),
        built: None,
        pulls: found.pulls.pulls,
        pulled: optional_time(found.pulls.last_pull.as_ref()),
        sections: Vec::new(),
        commands,
        more_commands,
        referrers_total: 0,
        more_referrers: found.more_referrers,
        referrer_groups: Vec::new(),
        tags: tags.collect(),
        tags_total: found.tags_total.unwrap_or(found.tags.len()) as u64,
        recent: Vec::new(),
        media_type: Line::from(manifest.map(|manifest| manifest.media_type.clone())),
        raw: format!("{}/v2/{name}/manifests/{digest}", call.shared.app.options.prefix),
        digest,
    };
    add_attached(call, &mut subject, found);
    subject
}

/// Adds what is attached: by a subject, by a tag, or in the index itself.
fn add_attached(call: Call<'_>, subject: &mut Subject, found: &wire::Image) {
    let href = |reference: &str| {
        let between = if reference.contains(':') { '@' } else { ':' };
        call.url(&format!("/image/{}{between}{reference}", subject.repository))
    };
    let by_subject = found.referrers.iter().map(|referrer| {
        let stated = referrer
            .artifact_type
            .as_deref()
            .unwrap_or(&referrer.part.media_type);
        let item = Referrer {
            href: href(&referrer.part.digest),
            label: Line::from(stated),
            size: Some(referrer.part.size),
        };
        (kind_of_attached(stated), item)
    });
    let by_tags = attached_by_tags(found).map(|(kind, tag)| {
        let item = Referrer {
            href: href(tag),
            label: Line::from(tag),
            size: None,
        };
        (kind, item)
    });
    let children = found.manifest.iter().flat_map(|manifest| &manifest.children);
    let in_index = children.filter(|child| is_attestation(child)).map(|child| {
        let item = Referrer {
            href: href(&child.digest),
            label: Line::from("BuildKit"),
            size: Some(child.manifest_size),
        };
        ("attestation", item)
    });
    let all: Vec<(&str, Referrer)> = by_subject.chain(by_tags).chain(in_index).collect();
    subject.referrers_total = all.len() as u64;
    let mut groups: Vec<ReferrerGroup> = ["signature", "sbom", "attestation", "other"]
        .map(|kind| ReferrerGroup {
            kind: kind.to_owned(),
            items: Vec::new(),
        })
        .into();
    for (kind, item) in all {
        let group = groups.iter_mut().find(|group| group.kind == kind);
        if let Some(group) = group {
            group.items.push(item);
        }
    }
    groups.retain(|group| !group.items.is_empty());
    subject.signed = groups.iter().any(|group| group.kind == "signature");
    subject.referrer_groups = groups;
}

/// What the service shows of an image.
///
/// # Errors
///
/// Those of the service.
pub(super) async fn ask(call: Call<'_>, name: &RepoName, reference: &str) -> Result<wire::Image> {
    let query = [("repository", name.as_str()), ("reference", reference)];
    call.ask("showImage", &query).await
}

/// The latest entries of the history of the tag; none for a digest, and where they cannot be read.
pub(super) async fn recent(call: Call<'_>, name: &RepoName, reference: &Reference) -> Vec<RecentManifest> {
    let Reference::Tag(tag) = reference else {
        return Vec::new();
    };
    let query = [
        ("repository", name.as_str()),
        ("tag", tag.as_str()),
        ("limit", RECENT),
    ];
    let found = call.ask::<wire::TagHistory>("showTagHistory", &query).await;
    let entries = found.map(|history| history.entries).unwrap_or_default();
    let entries = entries.into_iter().map(|entry| RecentManifest {
        since: optional_time(Some(&entry.since)),
        digest: Digest::from(entry.digest),
        current: entry.current,
    });
    entries.collect()
}

/// What is attached to an image by tags.
fn attached_by_tags(found: &wire::Image) -> impl Iterator<Item = (&'static str, &str)> {
    let tags = found.attached_tags.iter();
    tags.filter_map(|tag| Some((kind_of_attached_tag(tag)?, tag.as_str())))
}

/// Whether a child of an index is an attestation, and not an image.
pub(super) fn is_attestation(child: &wire::Child) -> bool {
    child
        .annotations
        .get(ATTESTATION.0)
        .is_some_and(|value| value == ATTESTATION.1)
}

/// What the labels say about an image.
pub(super) fn described(labels: &[(String, String)]) -> Option<&str> {
    let of = |wanted: &str| {
        labels
            .iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value.as_str())
    };
    of("org.opencontainers.image.description").or_else(|| of("org.label-schema.description"))
}

/// The section that is the page itself.
pub(super) fn overview(call: Call<'_>) -> Section {
    Section {
        href: call.url(call.path),
        current: true,
        label: "overview",
        count: None,
    }
}
