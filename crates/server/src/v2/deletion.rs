//! What a deletion needs to know of its client: its rights to the tags that the request does not name, and whether it may use force.

use wharf_oci::{ErrorCode, RepoName, query_pairs};

use crate::{
    call::Call,
    error::{Failure, Result},
    rights::Rights,
    tag_rights::{RightsToTags, may_force},
};

/// The rights of the client of a request to the tags of `name`.
pub(super) fn rights_to_tags(call: Call<'_>, rights: Rights, name: &RepoName) -> RightsToTags {
    RightsToTags::new(rights, call.app.services.access.clone(), name)
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
