//! What the client of a deletion may do with tags that its request does not name.

use wharf_oci::Tag;

/// What a client may do with the tags of one repository.
pub trait TagRights: Send + Sync {
    /// Whether it may delete the tag.
    fn may_delete(&self, tag: &Tag) -> bool;

    /// Whether it may know that there is such a tag.
    fn may_see(&self, tag: &Tag) -> bool;

    /// Whether no tag of the repository is hidden from it.
    fn may_see_all(&self) -> bool;

    /// Whether it may know what is in the repository.
    fn may_see_repository(&self) -> bool;

    /// Whether it may delete what tagged images need.
    fn may_force(&self) -> bool;
}

/// The client may do everything.
#[derive(Debug, Clone, Copy)]
pub struct EveryTag;

impl TagRights for EveryTag {
    fn may_delete(&self, _tag: &Tag) -> bool {
        true
    }

    fn may_see(&self, _tag: &Tag) -> bool {
        true
    }

    fn may_see_all(&self) -> bool {
        true
    }

    fn may_see_repository(&self) -> bool {
        true
    }

    fn may_force(&self) -> bool {
        true
    }
}
