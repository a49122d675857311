//! Plans as they are shown, and what is wrong with the description of a deletion.

use std::fmt::Display;

use wharf_oci::{RepoName, Tag};
use wharf_registry::{Plan, PlannedBytes, PlannedTag, Registry, Staying, TagRights, retention::Verdict};

use super::{
    shown::{time, told, told_if},
    trash::{LISTED, kind},
    wire,
};

/// How many repositories are named that share bytes with one.
const SHARING: usize = 10;

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
    let seen = || {
        plan.verdicts
            .iter()
            .filter(|verdict| rights.may_see(&verdict.tag))
    };
    // Of very many, those that go are shown rather than those that stay.
    let (going, all) = (seen().filter(|verdict| verdict.goes).count(), seen().count());
    let mut room = LISTED.saturating_sub(going);
    let is_shown = |verdict: &&Verdict| match verdict.goes {
        true => true,
        false => {
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        }
    };
    let verdicts = seen().filter(is_shown);
    let (refused, refused_messages) = told_if(plan.refused.clone());
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
        verdicts_total: all,
        refused,
        refused_messages,
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
    let (uncertain, uncertain_messages) = told_if(bytes.uncertain);
    wire::PlannedBytes {
        free: bytes.free,
        blobs: bytes.blobs,
        shared: bytes.shared,
        shared_with: sharing.take(SHARING).map(ToString::to_string).collect(),
        in_trash: bytes.in_trash,
        uncertain,
        uncertain_messages,
    }
}

fn verdict(verdict: &Verdict) -> wire::Verdict {
    let (why, why_messages) = told(verdict.why.clone());
    wire::Verdict {
        tag: verdict.tag.to_string(),
        digest: verdict.digest.to_string(),
        kind: verdict.kind.to_string(),
        pushed: time(verdict.pushed),
        pulled: verdict.pulled.map(time),
        goes: verdict.goes,
        why,
        why_messages,
    }
}

/// What stays, as far as lists go.
pub(super) fn staying(staying: &[Staying]) -> Vec<wire::Staying> {
    let shown = staying.iter().take(LISTED).map(|staying| {
        let (why, why_messages) = told(staying.why.clone());
        wire::Staying {
            tag: staying.tag.as_ref().map(Tag::to_string),
            digest: staying.digest.map(|digest| digest.to_string()),
            why,
            why_messages,
        }
    });
    shown.collect()
}
