//! The rights of the client of one request to the tags of one repository.

use std::sync::Arc;

use wharf_access::{Access, Verb};
use wharf_oci::{RepoName, Tag};
use wharf_registry::{RepositorySight as _, TagRights};

use crate::{repository_sight::PullSight, rights::Rights};

/// The rights of the client of a request to the tags of one repository.
pub(crate) struct RightsToTags {
    rights: Rights,
    access: Option<Arc<Access>>,
    name: RepoName,
}

impl RightsToTags {
    /// What a client with these `rights` may do with the tags of `name`.
    pub(crate) fn new(rights: Rights, access: Option<Arc<Access>>, name: &RepoName) -> Self {
        Self {
            rights,
            access,
            name: name.clone(),
        }
    }

    /// Whether the client may know of another repository.
    pub(crate) fn may_see_other(&self, name: &RepoName) -> bool {
        self.rights.sees(self.access.as_deref(), name, None)
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

    fn may_see_all(&self) -> bool {
        PullSight::of(&self.rights, self.access.as_deref()).sees_all_of(&self.name)
    }

    fn may_see_repository(&self) -> bool {
        self.rights.sees(self.access.as_deref(), &self.name, None)
    }

    fn may_force(&self) -> bool {
        may_force(&self.rights, self.access.as_deref())
    }
}

/// Whether a client may delete what tagged images need: no rule is about tags, so that none of these can be protected from it. Tags that
/// are hidden with their whole repository, from a client that may delete and not pull, are not.
pub(crate) fn may_force(rights: &Rights, access: Option<&Access>) -> bool {
    !rights.sight(access).is_some_and(|sight| sight.limits_tags())
}
