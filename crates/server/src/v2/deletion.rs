//! What a deletion needs to know of its client: its rights to the tags that the request does not name, and whether it may use force.

use std::sync::Arc;

use wharf_access::{Access, Verb};
use wharf_oci::{ErrorCode, RepoName, Tag, query_pairs};
use wharf_registry::TagRights;

use crate::{
    call::Call,
    error::{Failure, Result},
    rights::Rights,
};

/// The rights of the client of a request to the tags of one repository.
pub(super) struct RightsToTags {
    rights: Rights,
    access: Option<Arc<Access>>,
    name: RepoName,
}

impl RightsToTags {
    pub(super) fn of(call: Call<'_>, rights: Rights, name: &RepoName) -> Self {
        Self {
            rights,
            access: call.app.services.access.clone(),
            name: name.clone(),
        }
    }
}

impl TagRights for RightsToTags {
    fn may_delete(&self, tag: &Tag) -> bool {
        let (access, tag) = (self.access.as_deref(), Some(tag.as_str()));
        self.rights.on(access, &self.name, Verb::Delete, tag).is_some()
    }

    fn may_see(&self, tag: &Tag) -> bool {
        let (access, tag) = (self.access.as_deref(), Some(tag.as_str()));
        self.rights.sees(access, &self.name, tag)
    }

    fn may_see_repository(&self) -> bool {
        self.rights.sees(self.access.as_deref(), &self.name, None)
    }
}

/// Whether the request asks for a deletion also of what tagged images need (`?force=true`).
///
/// # Errors
///
/// The answer, if these may be images with tags that the client may not delete.
pub(super) fn may_force(call: Call<'_>, rights: &Rights) -> Result<bool> {
    let force = query_pairs(call.query()).any(|(key, value)| key == "force" && value == "true");
    let sight = rights.sight(call.app.services.access.as_deref());
    if force && sight.is_some_and(|sight| sight.limits_tags()) {
        let text = "`force=true` may break images whose tags the rules of this registry protect; delete their tags first";
        return Err(Failure::new(ErrorCode::Denied, text));
    }
    Ok(force)
}
