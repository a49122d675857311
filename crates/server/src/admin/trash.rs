//! The trash: what was deleted, the way back, and giving it up.

use std::time::{Duration, SystemTime};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{
    Caller, DeletedKind, Registry, Result, TagRights, TrashId, TrashRecord, TrashSummary, TrashedTag,
};

use super::{shown::time, wire};

/// How many entries of a list are shown.
pub(super) const LISTED: usize = 1000;

/// A page of the deletions before `before`, `of` one repository or all, in repositories that are `shown`.
///
/// # Errors
///
/// As [`Registry::trash_page`].
pub async fn list_trash(
    registry: &Registry,
    (before, limit): (Option<&TrashId>, usize),
    of: Option<&RepoName>,
    shown: &(dyn Fn(&RepoName) -> bool + Sync),
    shows_damaged: bool,
) -> Result<wire::TrashPage> {
    let page = registry.trash_page(before, limit, of, shown).await?;
    let damaged = page.damaged.into_iter().filter(|_| shows_damaged);
    Ok(wire::TrashPage {
        deletions: page
            .records
            .iter()
            .map(|summary| deleted(registry, summary))
            .collect(),
        damaged: damaged
            .map(|(id, problem)| wire::DamagedRecord {
                id: id.to_string(),
                problem,
            })
            .collect(),
        next: page.last.filter(|_| page.more).map(|id| id.to_string()),
    })
}

/// All that the deletion of `record` removed, apart from tags that the caller may not see.
pub fn show_deletion(
    registry: &Registry,
    record: &TrashRecord,
    rights: &dyn TagRights,
) -> wire::DeletedPointers {
    let pointers = &record.pointers;
    let tags = pointers.tags.iter().filter(|tag| rights.may_see(&tag.tag));
    let tags: Vec<&TrashedTag> = tags.collect();
    let deletion = wire::Deleted {
        tags: tags.len(),
        ..deleted(registry, &record.summary())
    };
    let link = |digest: &Digest, since: SystemTime| wire::DeletedLink {
        digest: digest.to_string(),
        since: time(since),
    };
    let manifests = pointers.manifests.iter().take(LISTED);
    let layers = pointers.layers.iter().take(LISTED);
    wire::DeletedPointers {
        deletion,
        tags: tags
            .into_iter()
            .take(LISTED)
            .map(|tag| wire::DeletedTag {
                tag: tag.tag.to_string(),
                digest: tag.digest.to_string(),
                since: time(tag.since),
                history: tag.history.len(),
            })
            .collect(),
        manifests: manifests
            .map(|manifest| link(&manifest.digest, manifest.since))
            .collect(),
        layers: layers.map(|layer| link(&layer.digest, layer.since)).collect(),
    }
}

/// Takes the deletion of `record` back. With `force` tags are moved back that point elsewhere by now.
///
/// # Errors
///
/// As [`Registry::restore_from_trash`].
pub async fn restore_deletion(
    registry: &Registry,
    caller: &dyn Caller,
    record: &TrashRecord,
    force: bool,
) -> Result<wire::Restored> {
    let restored = registry.restore_from_trash(caller, &record.id, force).await?;
    let left_alone = restored
        .left_alone
        .iter()
        .take(LISTED)
        .map(|left| wire::LeftAlone {
            tag: left.tag.to_string(),
            deleted: left.deleted.to_string(),
            current: left.current.to_string(),
        });
    Ok(wire::Restored {
        repository: record.repository.to_string(),
        tags: restored.tags.iter().take(LISTED).map(Tag::to_string).collect(),
        tags_total: restored.tags.len(),
        manifests: restored.manifests.len(),
        layers: restored.layers,
        left_alone: left_alone.collect(),
        lost: restored.lost.iter().take(LISTED).map(Digest::to_string).collect(),
    })
}

/// Gives up the deletions that are older than `age`.
///
/// # Errors
///
/// As [`Registry::empty_trash`].
pub async fn empty_trash(registry: &Registry, age: Duration) -> Result<wire::Emptied> {
    let now = SystemTime::now();
    // An identifier has milliseconds: a deletion of this very one is older than zero as well.
    let before = match age {
        Duration::ZERO => now + Duration::from_secs(1),
        age => now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH),
    };
    let removed = registry.empty_trash(before).await?;
    Ok(wire::Emptied { removed })
}

fn deleted(registry: &Registry, summary: &TrashSummary) -> wire::Deleted {
    wire::Deleted {
        id: summary.id.to_string(),
        time: time(summary.id.time()),
        expires: time(expiry(registry, &summary.id)),
        actor: summary.actor.clone(),
        surface: summary.surface.clone(),
        kind: kind(summary.kind).to_owned(),
        repository: summary.repository.to_string(),
        tags: summary.tags,
        manifests: summary.manifests,
        layers: summary.layers,
    }
}

/// When the trash lets go of the deletion `id`.
pub(super) fn expiry(registry: &Registry, id: &TrashId) -> SystemTime {
    let time = id.time();
    time.checked_add(registry.trash_retention()).unwrap_or(time)
}

/// What was deleted, in one word.
pub(super) fn kind(kind: DeletedKind) -> &'static str {
    match kind {
        DeletedKind::Tags => "tags",
        DeletedKind::Manifest => "manifest",
        DeletedKind::Blob => "blob",
        DeletedKind::Untagged => "untagged",
        DeletedKind::Retention => "retention",
        DeletedKind::Repository => "repository",
    }
}
