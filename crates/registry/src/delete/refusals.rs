//! Why a deletion is refused: tags that the client may not delete, and images that need what it names.

use std::collections::HashMap;

use wharf_oci::{Digest, RepoName, Tag, referrers_tag};

use crate::{
    error::{Error, Result},
    tag_rights::TagRights,
    tree::tags::Pointer,
};

/// `tags` without the list of the referrers of `subject`, which needs each only as long as it is there.
pub(crate) fn without_list(
    mut tags: HashMap<Digest, Vec<Pointer>>,
    subject: Option<&Digest>,
) -> HashMap<Digest, Vec<Pointer>> {
    let list = subject.map(referrers_tag);
    for tags in tags.values_mut() {
        tags.retain(|pointer| Some(&pointer.tag) != list.as_ref());
    }
    tags
}

/// Refuses a deletion with which one of these tags would go that the client may not delete. It is named if the client may see it.
///
/// # Errors
///
/// [`Error::TagDenied`].
pub(crate) fn require_deletable<'a>(
    tags: impl IntoIterator<Item = &'a Tag>,
    rights: &dyn TagRights,
) -> Result<()> {
    match tags.into_iter().find(|tag| !rights.may_delete(tag)) {
        None => Ok(()),
        Some(tag) => Err(Error::TagDenied {
            tag: rights.may_see(tag).then(|| tag.clone()),
        }),
    }
}

/// Refuses the deletion of the manifest `digest` if there is one of these tags, which are those of indexes above it.
pub(crate) fn require_no_index(
    name: &RepoName,
    digest: &Digest,
    tags: &HashMap<Digest, Vec<Pointer>>,
    rights: &dyn TagRights,
) -> Result<()> {
    match images(name, tags, rights) {
        (indexes, false) if indexes.is_empty() => Ok(()),
        (indexes, hides) => Err(Error::NeededByIndex {
            digest: *digest,
            indexes,
            hides,
            may_force: rights.may_force(),
        }),
    }
}

/// The images that tags of `name` name, in ascending order, and whether there are others, with tags that are hidden from the client.
pub(crate) fn images(
    name: &RepoName,
    tags: &HashMap<Digest, Vec<Pointer>>,
    rights: &dyn TagRights,
) -> (Vec<String>, bool) {
    let (seen, hidden): (Vec<_>, Vec<_>) = tags
        .values()
        .flatten()
        .partition(|pointer| rights.may_see(&pointer.tag));
    let mut images: Vec<String> = seen
        .iter()
        .map(|pointer| format!("{name}:{}", pointer.tag))
        .collect();
    images.sort_unstable();
    (images, !hidden.is_empty())
}
