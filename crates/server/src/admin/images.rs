//! Repositories, tags and images, as lists show them.

use std::collections::HashMap;

use futures_util::future::join;
use wharf_activity::{Counted, PullCount};
use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{
    Attached, Attachments, ImageSummary, Registry, RepositoriesWanted, RepositorySight, Result, TagRights,
    TagRow, TagsWanted, UntaggedWanted,
};

use super::{
    artifact::{kind_of_attached, kind_of_attached_tag},
    pulls::PullCounts,
    shown::{time, told_if},
    wire,
};

/// The tags of `name` that are `wanted`, and that a client with these `rights` may see; with what is attached to their images, if that is
/// asked for.
///
/// # Errors
///
/// As [`Registry::list_tags`].
pub async fn list_tags(
    registry: &Registry,
    pulls: &PullCounts,
    name: &RepoName,
    (wanted, with_attached): (TagsWanted<'_>, bool),
    rights: &dyn TagRights,
) -> Result<wire::TagPage> {
    let attachments = async {
        match with_attached {
            true => registry.attachments(name, rights).await,
            false => Ok(None),
        }
    };
    let (page, attachments) = join(registry.list_tags(name, wanted, rights), attachments).await;
    let page = page?;
    let attached = attached(registry, name, &page.tags, attachments).await;
    // A list is worth having without it.
    let attached = attached.unwrap_or_else(|error| {
        tracing::debug!(%error, "what is attached to images cannot be told; a list is shown without it");
        HashMap::new()
    });
    let attached = |digest: Option<&Digest>| Some(kinds(attached.get(digest?)?));
    let names: Vec<&str> = page.tags.iter().map(|row| row.tag.as_str()).collect();
    let (pulls, problem) = pulls.of(name, &names, &[]).await;
    let (problem, problem_messages) = told_if(problem);
    let tags = page.tags.into_iter().map(|row| wire::ListedTag {
        pulls: shown_pulls(pulls.as_ref(), |pulls| pulls.tags.get(row.tag.as_str()).copied()),
        attached: attached(row.digest.as_ref()).unwrap_or_default(),
        tag: row.tag.to_string(),
        digest: row.digest.map(|digest| digest.to_string()),
        pushed: time(row.pushed),
        image: shown_image(row.image),
    });
    Ok(wire::TagPage {
        repository: name.to_string(),
        tags: tags.collect(),
        next: page.next.map(|place| place.to_string()),
        problem,
        problem_messages,
    })
}

/// What is attached to the images of `tags`.
async fn attached(
    registry: &Registry,
    name: &RepoName,
    tags: &[TagRow],
    attachments: Result<Option<Attachments>>,
) -> Result<HashMap<Digest, Attached>> {
    match attachments? {
        Some(attachments) => {
            let digests: Vec<Digest> = tags.iter().filter_map(|row| row.digest).collect();
            registry.attached(name, &digests, &attachments).await
        }
        None => Ok(HashMap::new()),
    }
}

/// What is attached to an image: each kind once.
fn kinds(attached: &Attached) -> Vec<String> {
    let by_type = attached.types.iter().map(|stated| kind_of_attached(stated));
    let by_tag = attached
        .tags
        .iter()
        .filter_map(|tag| kind_of_attached_tag(tag.as_str()));
    let in_index = attached.has_attestations.then_some("attestation");
    let all: Vec<&str> = by_type.chain(by_tag).chain(in_index).collect();
    let kinds = ["signature", "sbom", "attestation", "other"].into_iter();
    kinds
        .filter(|kind| all.contains(kind))
        .map(str::to_owned)
        .collect()
}

/// The manifests of `name` that no tag reaches and that are `wanted`, for a client with these `rights`.
///
/// # Errors
///
/// As [`Registry::list_untagged`].
pub async fn list_untagged(
    registry: &Registry,
    name: &RepoName,
    wanted: UntaggedWanted<'_>,
    rights: &dyn TagRights,
) -> Result<wire::UntaggedPage> {
    let page = registry.list_untagged(name, wanted, rights).await?;
    let manifests = page.manifests.into_iter().map(|row| wire::ListedUntagged {
        digest: row.digest.to_string(),
        pushed: time(row.pushed),
        image: shown_image(row.image),
        subject: row.subject.map(|digest| digest.to_string()),
        listed_by: row.listed_by.iter().map(Digest::to_string).collect(),
        referrers: row.referrers,
        left_by: row.left_by.iter().map(Tag::to_string).collect(),
    });
    let (problem, problem_messages) = told_if(page.problem);
    Ok(wire::UntaggedPage {
        repository: name.to_string(),
        manifests: manifests.collect(),
        total: page.total,
        next: page.next.map(|place| place.to_string()),
        problem,
        problem_messages,
    })
}

/// The repositories that are `wanted`, and that a client may see.
///
/// # Errors
///
/// As [`Registry::list_repositories`].
pub async fn list_repositories(
    registry: &Registry,
    pulls: &PullCounts,
    wanted: RepositoriesWanted<'_>,
    sight: &dyn RepositorySight,
) -> Result<wire::RepositoryPage> {
    let page = registry.list_repositories(wanted, sight).await?;
    // The pulls of a repository count those of hidden tags as well.
    let whole = page.repositories.iter().filter(|row| row.is_whole);
    let whole: Vec<&RepoName> = whole.map(|row| &row.name).collect();
    let (pulls, problem) = pulls.totals(&whole).await;
    let (problem, problem_messages) = told_if(problem);
    let repositories = page.repositories.into_iter().map(|row| {
        let (problem, problem_messages) = told_if(row.problem);
        wire::ListedRepository {
            pulls: shown_pulls(pulls.as_ref().filter(|_| row.is_whole), |pulls| {
                pulls.get(&row.name).copied()
            }),
            name: row.name.to_string(),
            tags: row.tags,
            pushed: row.pushed.map(time),
            manifests: row.manifests,
            size: row.size,
            damaged: row.damaged,
            problem,
            problem_messages,
        }
    });
    Ok(wire::RepositoryPage {
        repositories: repositories.collect(),
        next: page.next.map(|place| place.to_string()),
        problem,
        problem_messages,
    })
}

/// The disk use of the `limit` largest repositories, and of all together.
///
/// # Errors
///
/// As [`Registry::usage`].
pub async fn show_usage(registry: &Registry, limit: usize) -> Result<wire::Usage> {
    let usage = registry.usage(limit).await?;
    let repositories = usage.repositories.into_iter().map(|row| wire::RepositoryUsage {
        name: row.name.to_string(),
        manifests: row.manifests,
        damaged: row.damaged,
        unstated: row.unstated,
        size: row.size,
        unique: row.unique,
        shared: row.unique.map(|unique| row.size.saturating_sub(unique)),
    });
    let (problem, problem_messages) = told_if(usage.problem);
    Ok(wire::Usage {
        repositories: repositories.collect(),
        total: usage.total,
        size: usage.size,
        uncounted: usage.uncounted,
        trash: usage.trash,
        free: usage.space.map(|space| space.free),
        capacity: usage.space.map(|space| space.total),
        problem,
        problem_messages,
    })
}

pub(super) fn shown_image(image: ImageSummary) -> wire::ListedImage {
    let platforms = image.platforms.into_iter().map(|platform| {
        let (problem, problem_messages) = told_if(platform.problem);
        wire::ListedPlatform {
            platform: platform.platform.into(),
            digest: platform.digest.to_string(),
            size: platform.size,
            problem,
            problem_messages,
        }
    });
    let (problem, problem_messages) = told_if(image.problem);
    wire::ListedImage {
        media_type: image.media_type.map(Into::into),
        kind: image.kind.map(|kind| kind.as_str().to_owned()),
        size: image.size,
        size_unstated: image.size_is_unstated,
        platforms: platforms.collect(),
        problem,
        problem_messages,
    }
}

/// The pulls of what `find` finds in the counts; nothing at all where pulls are not counted. Of what it does not find nothing is known
/// where counts were forgotten.
pub(super) fn shown_pulls<T>(
    counted: Option<&Counted<T>>,
    find: impl FnOnce(&T) -> Option<PullCount>,
) -> wire::PullCount {
    let Some(counted) = counted else {
        return wire::PullCount::default();
    };
    let count = find(&counted.counts);
    let none = (!counted.has_forgotten).then_some(0);
    wire::PullCount {
        pulls: count.map_or(none, |count| Some(count.count)),
        last_pull: count.map(|count| time(count.last.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_count_was_not_pulled_unless_counts_were_forgotten() {
        let shown = |has_forgotten, count| {
            let counted = Counted {
                counts: count,
                is_complete: true,
                has_forgotten,
            };
            shown_pulls(Some(&counted), |count| *count).pulls
        };
        let one = PullCount {
            count: 1,
            ..PullCount::default()
        };
        assert_eq!((shown(false, None), shown(false, Some(one))), (Some(0), Some(1)));
        assert_eq!((shown(true, None), shown(true, Some(one))), (None, Some(1)));
    }
}
