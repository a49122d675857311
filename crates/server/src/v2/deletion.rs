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

    fn may_force(&self) -> bool {
        may_force(&self.rights, self.access.as_deref())
    }
}

/// Whether the request asks for a deletion also of what tagged images need (`?force=true`).
///
/// # Errors
///
/// The answer, if the client may not use force.
pub(super) fn asks_for_force(call: Call<'_>, rights: &Rights) -> Result<bool> {
    let force = query_pairs(call.query()).any(|(key, value)| key == "force" && value == "true");
    if force && !may_force(rights, call.app.services.access.as_deref()) {
        let text = "`force=true` may break images with tags that the rules of this registry protect; delete their tags first";
        return Err(Failure::new(ErrorCode::Denied, text));
    }
    Ok(force)
}

/// Whether a client may delete what tagged images need: no rule is about tags, so that none of these can be protected from it. Tags that
/// are hidden with their whole repository, from a client that may delete and not pull, are not.
fn may_force(rights: &Rights, access: Option<&Access>) -> bool {
    !rights.sight(access).is_some_and(|sight| sight.limits_tags())
}
