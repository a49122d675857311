//! Deletions as plans, and their application.

use std::time::Duration;

use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{Caller, Deletion, Registry, Result, TagRights};

use super::{
    plans::{DeletionError, shown_bytes, shown_plan, staying},
    retention::Retention,
    shown::time,
    trash::{LISTED, expiry},
    wire,
};

/// How long untagged manifests stay if the caller does not say.
const MIN_AGE: u64 = 86_400;

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
        stayed: staying(&applied.stayed),
    })
}
