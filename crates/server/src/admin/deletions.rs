//! Deletions as plans, and their application.

use std::{fmt::Display, time::Duration};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{
    Caller, Deletion, Plan, PlannedBytes, PlannedTag, Registry, Result, Staying, TagRights,
    retention::Verdict,
};

use super::{
    retention::Retention,
    shown::time,
    trash::{LISTED, expiry, kind},
    wire,
};

/// How many repositories are named that share bytes with one.
const SHARING: usize = 10;

/// How long untagged manifests stay if the caller does not say.
const MIN_AGE: u64 = 86_400;

/// A description of a deletion that cannot be carried out as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {text}")]
pub struct DeletionError {
    /// Field that is wrong.
    pub field: &'static str,
    text: String,
}

impl DeletionError {
    pub(super) fn new(field: &'static str, text: &dyn Display) -> Self {
        Self {
            field,
            text: text.to_string(),
        }
    }
}

/// What `wanted` says is to be deleted, where `retention` is configured.
///
/// # Errors
///
/// [`DeletionError`], when it says nothing, or several things, or names what cannot be.
pub fn deletion_of(
    wanted: &wire::Deletion,
    retention: &Retention,
) -> std::result::Result<Deletion, DeletionError> {
    let wire::Deletion {
        tags,
        keep_images,
        manifest,
        untagged,
        retention: rules,
        everything,
    } = wanted;
    if *keep_images && tags.is_none() {
        return Err(DeletionError::new("keep_images", &"it belongs to `tags`"));
    }
    match (tags, manifest, untagged, rules, everything) {
        (Some(tags), None, None, None, false) if tags.is_empty() => {
            Err(DeletionError::new("tags", &"name one tag at least"))
        }
        (Some(tags), None, None, None, false) => {
            let tags: std::result::Result<Vec<Tag>, _> = tags.iter().map(|tag| tag.parse()).collect();
            Ok(Deletion::Tags {
                tags: tags.map_err(|error| DeletionError::new("tags", &error))?,
                keep_images: *keep_images,
            })
        }
        (None, Some(manifest), None, None, false) => Ok(Deletion::Manifest {
            digest: manifest
                .parse()
                .map_err(|error| DeletionError::new("manifest", &error))?,
        }),
        (None, None, Some(untagged), None, false) => Ok(Deletion::Untagged {
            min_age: Duration::from_secs(untagged.min_age.unwrap_or(MIN_AGE)),
            keep_history: untagged
                .keep_history
                .map_or(retention.keep_history(), Duration::from_secs),
        }),
        (None, None, None, Some(rules), false) => Ok(Deletion::Retention {
            policy: retention.policy_of(rules)?,
            pulls: None,
        }),
        (None, None, None, None, true) => Ok(Deletion::Repository),
        _ => {
            let text = "say what goes by exactly one of `tags`, `manifest`, `untagged`, `retention` and `everything`";
            Err(DeletionError::new("tags", &text))
        }
    }
}

/// The plan of `deletion`, with its bytes. Of the repositories that share bytes those are named that the caller `sees`.
///
/// # Errors
///
/// As [`Registry::plan_deletion`].
pub async fn plan_deletion(
    registry: &Registry,
    name: &RepoName,
    deletion: &Deletion,
    rights: &dyn TagRights,
    sees: &(dyn Fn(&RepoName) -> bool + Sync),
) -> Result<wire::Plan> {
    let plan = registry.plan_deletion_with_bytes(name, deletion, rights).await?;
    let bytes = plan.bytes.clone().unwrap_or_default();
    Ok(wire::Plan {
        bytes: shown_bytes(bytes, sees),
        ..shown_plan(registry, &plan, rights)
    })
}

/// A plan without its bytes, and without tags that the caller may not see.
pub(super) fn shown_plan(registry: &Registry, plan: &Plan, rights: &dyn TagRights) -> wire::Plan {
    let tags = |planned: &[PlannedTag]| {
        let listed = planned.iter().take(LISTED).map(|planned| wire::TagAndDigest {
            tag: planned.tag.to_string(),
            digest: planned.digest.to_string(),
        });
        listed.collect::<Vec<_>>()
    };
    let seen_history = plan.history.iter().filter(|entry| rights.may_see(&entry.tag));
    let seen_history: Vec<PlannedTag> = seen_history.cloned().collect();
    let manifests = plan
        .manifests
        .iter()
        .take(LISTED)
        .map(|manifest| wire::GoingManifest {
            digest: manifest.digest.to_string(),
            role: manifest.role.to_string(),
        });
    let verdicts = plan
        .verdicts
        .iter()
        .filter(|verdict| rights.may_see(&verdict.tag));
    wire::Plan {
        id: plan.id.to_string(),
        repository: plan.repository.to_string(),
        kind: kind(plan.kind).to_owned(),
        tags: tags(&plan.tags),
        tags_total: plan.tags.len(),
        manifests: manifests.collect(),
        manifests_total: plan.manifests.len(),
        layers: plan.layers,
        history: tags(&seen_history),
        history_total: plan.history.len(),
        earlier: plan
            .earlier
            .iter()
            .take(LISTED)
            .map(ToString::to_string)
            .collect(),
        earlier_total: plan.earlier.len(),
        stays: staying(&plan.stays),
        more_stays: plan.more_stays,
        verdicts: verdicts.take(LISTED).map(verdict).collect(),
        refused: plan.refused.clone(),
        bytes: wire::PlannedBytes::default(),
        retention: registry.trash_retention().as_secs(),
    }
}

/// The bytes of plans. Of the repositories that share some those are named that the caller `sees`.
pub(super) fn shown_bytes(
    bytes: PlannedBytes,
    sees: &(dyn Fn(&RepoName) -> bool + Sync),
) -> wire::PlannedBytes {
    let sharing = bytes
        .shared_with
        .iter()
        .filter(|name| name.parse().is_ok_and(|name| sees(&name)));
    wire::PlannedBytes {
        free: bytes.free,
        blobs: bytes.blobs,
        shared: bytes.shared,
        shared_with: sharing.take(SHARING).map(ToString::to_string).collect(),
        in_trash: bytes.in_trash,
        uncertain: bytes.uncertain,
    }
}

fn verdict(verdict: &Verdict) -> wire::Verdict {
    wire::Verdict {
        tag: verdict.tag.to_string(),
        digest: verdict.digest.to_string(),
        kind: verdict.kind.to_string(),
        pushed: time(verdict.pushed),
        pulled: verdict.pulled.map(time),
        goes: verdict.goes,
        why: verdict.why.clone(),
    }
}

/// Carries `deletion` out, if its plan is the one that the caller has seen. With `now` nothing is kept in the trash.
///
/// # Errors
///
/// As [`Registry::apply_deletion`].
pub async fn apply_deletion(
    registry: &Registry,
    caller: &dyn Caller,
    (name, deletion): (&RepoName, &Deletion),
    rights: &dyn TagRights,
    (plan, now): (Option<&Digest>, bool),
) -> Result<wire::Applied> {
    let application = wharf_registry::Application { plan, now };
    let applied = registry
        .apply_deletion(caller, name, deletion, rights, application)
        .await?;
    let expires = applied.record.as_ref().map(|id| expiry(registry, id));
    Ok(wire::Applied {
        repository: name.to_string(),
        deletion: applied.record.map(|id| id.to_string()),
        expires: expires.map(time),
        tags: applied.tags.iter().take(LISTED).map(Tag::to_string).collect(),
        tags_total: applied.tags.len(),
        manifests: applied
            .manifests
            .iter()
            .take(LISTED)
            .map(Digest::to_string)
            .collect(),
        manifests_total: applied.manifests.len(),
        layers: applied.layers,
        earlier: applied.earlier,
        stayed: staying(&applied.stayed),
    })
}

fn staying(staying: &[Staying]) -> Vec<wire::Staying> {
    let shown = staying.iter().take(LISTED).map(|staying| wire::Staying {
        tag: staying.tag.as_ref().map(Tag::to_string),
        digest: staying.digest.map(|digest| digest.to_string()),
        why: staying.why.clone(),
    });
    shown.collect()
}
