//! What the client of a request may do, for handlers that have to know more than that they may run.

use std::net::IpAddr;

use wharf_access::{Access, Action, Authorization, Grant, Principal, Resource, Sight, Verb};
use wharf_oci::RepoName;

/// What the client of one request may do.
#[derive(Debug)]
pub(crate) struct Rights {
    /// The client, and its address; `None`: every client may do everything
    client: Option<(Principal, Option<IpAddr>)>,
    /// How it may do what the request asks for
    grant: Grant,
    /// Whether it may pull from the repository from which the request mounts a blob
    may_mount: bool,
}

impl Rights {
    /// Those of a server without authentication.
    pub(crate) const ALL: Self = Self {
        client: None,
        grant: Grant { creates_only: false },
        may_mount: true,
    };

    /// Those of a client that was found to have those that its request needs.
    pub(crate) fn granted(
        principal: Principal,
        address: Option<IpAddr>,
        grant: Grant,
        may_mount: bool,
    ) -> Self {
        Self {
            client: Some((principal, address)),
            grant,
            may_mount,
        }
    }

    /// Whether the push that the request is may create tags, and not move one.
    pub(crate) fn creates_only(&self) -> bool {
        self.grant.creates_only
    }

    /// The client; `None`: clients do not log in.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.client.as_ref().map(|(principal, _)| principal)
    }

    /// Whether the client may administer the server.
    pub(crate) fn administers(&self, access: Option<&Access>) -> bool {
        match (&self.client, access) {
            (Some((principal, address)), Some(access)) => access.administers(principal, *address),
            _ => false,
        }
    }

    /// Whether the blob that the request mounts may come from the repository that it names.
    pub(crate) fn may_mount(&self) -> bool {
        self.may_mount
    }

    /// Whether nothing that is in one repository need be hidden from the client in another.
    pub(crate) fn is_unrestricted(&self, access: Option<&Access>) -> bool {
        match (&self.client, access) {
            (Some((principal, _)), Some(access)) => access.is_unrestricted(principal),
            _ => true,
        }
    }

    /// How the client may do something more than its request says; `None`: it may not.
    pub(crate) fn on(
        &self,
        access: Option<&Access>,
        name: &RepoName,
        verb: Verb,
        tag: Option<&str>,
    ) -> Option<Grant> {
        let Some(access) = access else {
            return Some(Grant::default());
        };
        match self.decision(access, name, verb, tag) {
            Authorization::Allowed(grant) => Some(grant),
            _ => None,
        }
    }

    /// Whether the client may know of the repository, and, if `tag` is given, of that tag. A token of this registry for less than
    /// its account may do hides nothing from it; one of another token server is all that its client has.
    pub(crate) fn sees(&self, access: Option<&Access>, name: &RepoName, tag: Option<&str>) -> bool {
        let Some(access) = access else { return true };
        match self.decision(access, name, Verb::Pull, tag) {
            Authorization::Allowed(_) => true,
            Authorization::InsufficientScope => access.token_server().is_some(),
            Authorization::Forbidden(_) | Authorization::Unauthenticated => false,
        }
    }

    fn decision<'a>(
        &self,
        access: &Access,
        name: &'a RepoName,
        verb: Verb,
        tag: Option<&str>,
    ) -> Authorization<'a> {
        let Some((principal, address)) = &self.client else {
            return Authorization::Allowed(Grant::default());
        };
        let action = Action {
            resource: Resource::Repository(name),
            verb,
        };
        access.authorize(principal, &[action], tag, *address)
    }

    /// What the client may see of the repositories and tags; `None`: everything.
    pub(crate) fn sight<'a>(&'a self, access: Option<&'a Access>) -> Option<Sight<'a>> {
        let (principal, address) = self.client.as_ref()?;
        access?.sight(principal, *address)
    }
}
