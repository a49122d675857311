//! What a client may see of the repositories, and the walk that passes over the rest.

use wharf_access::{Access, Sight, Verb};
use wharf_oci::{RepoName, Tag};
use wharf_registry::RepositorySight;

use crate::rights::Rights;

/// What a client may see of the content of repositories: what it may pull. A token shows no more than it lets its client pull, also
/// where its account may do more.
pub(crate) struct PullSight<'a> {
    rights: &'a Rights,
    access: Option<&'a Access>,
    /// What the account may see; `None`: everything.
    account: Option<Sight<'a>>,
    is_admin: bool,
}

impl<'a> PullSight<'a> {
    /// What a client with these `rights` may see.
    pub(crate) fn of(rights: &'a Rights, access: Option<&'a Access>) -> Self {
        Self {
            account: rights.sight(access),
            is_admin: rights.administers(access),
            rights,
            access,
        }
    }
}

impl RepositorySight for PullSight<'_> {
    fn sees(&self, name: &RepoName, tag: Option<&Tag>) -> bool {
        let tag = tag.map(Tag::as_str);
        self.rights.on(self.access, name, Verb::Pull, tag).is_some()
    }

    fn sees_all_of(&self, name: &RepoName) -> bool {
        let account = self.account.as_ref();
        self.is_admin || account.is_none_or(|account| !account.limits_tags_of(name))
    }

    fn go_on_after(&self, after: &str) -> Option<Box<str>> {
        let by_account = match &self.account {
            Some(sight) => go_on_after(sight, after)?,
            None => after.to_owned(),
        };
        let Some(principal) = self.rights.principal() else {
            return Some(by_account.into());
        };
        let next = principal.next_repository(&by_account)?;
        Some(match next == by_account {
            true => by_account.into(),
            false => RepoName::just_before(next).into(),
        })
    }
}

/// The place at which a walk through the catalogue goes on that has passed `after`: there, or just before the next name that may be
/// visible. `None`: there is none.
pub(crate) fn go_on_after(sight: &Sight<'_>, after: &str) -> Option<String> {
    let next = sight.next_from(after)?;
    Some(match next == after {
        true => after.to_owned(),
        false => RepoName::just_before(next),
    })
}
