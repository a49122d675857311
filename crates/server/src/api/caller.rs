//! The caller of a request, and its rights.

use std::fmt;

use http::{header, request::Parts};
use wharf_access::{Access, Action, Challenged, Principal, Reason, Resource, Verb, Via};
use wharf_http::RequestContext;
use wharf_oci::{RepoName, Tag};
use wharf_registry::Error as RegistryError;

use super::{
    problem::{Kind, Problem, Result},
    query::Query,
};
use crate::{
    admin::wire,
    call::App,
    gates::{Demand, Gates, Refusal},
    refused::Remedy,
    rights::Rights,
    v2,
    words::Refused,
};

/// The caller of a request, with a right to the operation that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The client; `None`: the local operator at the control socket.
    client: Option<Principal>,
    is_admin: bool,
}

/// A right that an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// None but to be a client of the registry.
    Any,
    /// An account that acts by itself, and not by a token, which is for some actions alone.
    Account,
    /// The right to list the repositories, which every account has, and a token that says so.
    Catalog,
    /// The right to administer the server.
    Admin,
    /// These rights on the `repository` of the query, and on its `tag` if it has one; the last of them names them.
    Repository(&'static [Verb]),
}

impl Caller {
    /// The local operator, who has every right.
    const OPERATOR: Self = Self {
        client: None,
        is_admin: true,
    };

    /// The client with these `rights`.
    pub(crate) fn of(rights: &Rights, access: Option<&Access>) -> Self {
        let principal = rights.principal().unwrap_or(&Principal::ANONYMOUS);
        Self {
            is_admin: rights.administers(access),
            client: Some(principal.clone()),
        }
    }

    /// Name of the account.
    pub(crate) fn account(&self) -> Option<&str> {
        self.client.as_ref()?.account().map(|account| &**account)
    }

    /// What the caller is called in logs: the name of its account, or of its robot token.
    pub(crate) fn actor(&self) -> Option<&str> {
        self.client.as_ref()?.actor().map(|actor| &**actor)
    }

    /// The way in which the caller was recognised.
    pub(crate) fn via(&self) -> wire::Via {
        match self.client.as_ref().map(Principal::via) {
            None => wire::Via::Operator,
            Some(Via::Anonymous) => wire::Via::Anonymous,
            Some(Via::Password) => wire::Via::Password,
            Some(Via::Token(_)) => wire::Via::Token,
            Some(Via::Robot(_)) => wire::Via::Robot,
            Some(Via::Proxy) => wire::Via::Proxy,
        }
    }

    /// Whether the caller may administer the server.
    pub(crate) fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// What tells this caller from others.
    pub(crate) fn key(&self) -> String {
        format!("{:?} {}", self.via(), self.actor().unwrap_or_default())
    }
}

impl Right {
    /// Name of the right in rules and problems.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Account => "account",
            Self::Catalog => "catalog",
            Self::Admin => "admin",
            Self::Repository(verbs) => verbs.last().map_or("any", |verb| verb.as_str()),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.client, self.actor()) {
            (None, _) => f.write_str("the operator at the control socket"),
            (Some(_), Some(name)) => f.write_str(name),
            (Some(_), None) => f.write_str("an anonymous client"),
        }
    }
}

/// What an operation asks of its caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) right: Right,
    /// Whether it changes what is in repositories.
    pub(crate) changes_store: bool,
    /// The query, if it is understood: it names the repository on which the right is needed.
    pub(crate) query: Option<&'a Query>,
}

/// Recognises the caller, and checks that it has the right that the operation needs. Where the gates ask for no credentials, the caller
/// is the operator.
pub(crate) async fn identify(
    gates: Gates,
    app: &App,
    (context, parts): (&mut RequestContext, &Parts),
    asked: Asked<'_>,
) -> Result<(Caller, Rights)> {
    let client = match gates.client(&app.services, context, parts).await {
        Ok(client) => client,
        Err((access, reason)) => {
            let repository = asked.query.and_then(Query::repository);
            let actions = actions(asked.right, repository.as_ref());
            return Err(unknown(context, parts, (access, &actions), &reason));
        }
    };
    identify_as(client.as_ref(), gates, app, (context, parts), asked)
}

/// The same for a client that is recognised already.
pub(crate) fn identify_as(
    client: Option<&Principal>,
    gates: Gates,
    app: &App,
    (context, parts): (&RequestContext, &Parts),
    Asked {
        right,
        changes_store,
        query,
    }: Asked<'_>,
) -> Result<(Caller, Rights)> {
    let repository = query.and_then(Query::repository);
    let tag = query.and_then(Query::tag);
    let actions = actions(right, repository.as_ref());
    let demand = Demand {
        actions: &actions,
        wish: None,
        tag: tag.as_ref().map(Tag::as_str),
        changes_store,
    };
    let services = (&app.options, &app.services);
    let rights = match gates.pass_as(client.cloned(), services, context, parts, demand) {
        Ok(rights) => rights,
        Err(refusal) => {
            let hidden = hidden(&refusal, query).filter(|_| !administers(client, app, context, parts));
            return Err(hidden.unwrap_or_else(|| refused(context, parts, &actions, refusal)));
        }
    };
    if !gates.authentication {
        return Ok((Caller::OPERATOR, rights));
    }
    let caller = Caller::of(&rights, app.services.access.as_deref());
    let principal = rights.principal().unwrap_or(&Principal::ANONYMOUS);
    let has_right = match right {
        // The gates have checked those on a repository and on the catalogue.
        Right::Any | Right::Catalog | Right::Repository(_) => true,
        Right::Account => principal.acts_as_account(),
        Right::Admin => caller.is_admin,
    };
    match has_right {
        true => Ok((caller, rights)),
        false => Err(forbidden(&caller, right)),
    }
}

/// What a client has to be allowed that uses this right.
fn actions(right: Right, repository: Option<&RepoName>) -> Vec<Action<'_>> {
    match (right, repository) {
        (Right::Repository(verbs), Some(name)) => {
            let resource = Resource::Repository(name);
            verbs.iter().map(|&verb| Action { resource, verb }).collect()
        }
        (Right::Catalog, _) => vec![Action {
            resource: Resource::Catalog,
            verb: Verb::All,
        }],
        _ => Vec::new(),
    }
}

/// What an account is told of a repository, or of a tag, that it may not pull: that it is not there, in the words in which that is said
/// of a name that nothing has. It is decided by the rules alone, so neither the answer nor its time depends on what the store has.
fn hidden(refusal: &Refusal<'_>, query: Option<&Query>) -> Option<Problem> {
    let Refusal::Forbidden(missing) = refusal else {
        return None;
    };
    let query = query.filter(|_| missing.action.verb == Verb::Pull)?;
    let name = query.repository()?;
    let mut references = ["tag", "reference", "from"].into_iter();
    let error = match references.find_map(|parameter| query.get(parameter)) {
        Some(reference) => RegistryError::ManifestUnknown {
            name,
            reference: reference.to_owned(),
            hint: None,
        },
        None => RegistryError::NameUnknown { name },
    };
    Some(error.into())
}

/// Whether the client is an administrator, which sees the names of all repositories elsewhere, and is told which right is missing.
fn administers(client: Option<&Principal>, app: &App, context: &RequestContext, parts: &Parts) -> bool {
    let access = app.services.access.as_deref();
    let address = context.proven_client(&parts.headers);
    access
        .zip(client)
        .is_some_and(|(access, client)| access.administers(client, address))
}

fn forbidden(caller: &Caller, right: Right) -> Problem {
    let name = right.name();
    let actor = caller.actor().map(|actor| actor.escape_debug().to_string());
    let why = match (right, actor) {
        (Right::Account, Some(actor)) => Refused::TokenOnly { actor },
        (Right::Account, None) => Refused::ForAccounts,
        (_, Some(actor)) => Refused::LacksRight { actor, right: name },
        (_, None) => Refused::NeedsRight { right: name },
    };
    Problem::new(Kind::Forbidden, why).with_right(name)
}

/// The failure of a request that a gate refuses. It never tells whether the name or the password was wrong.
fn refused(context: &RequestContext, parts: &Parts, actions: &[Action<'_>], refusal: Refusal<'_>) -> Problem {
    let (access, challenged, why) = match refusal {
        Refusal::Unauthenticated(access, challenged) => (access, challenged, Refused::LogIn),
        Refusal::Unknown(access, reason) => return unknown(context, parts, (access, actions), &reason),
        Refusal::Forbidden(missing) => {
            let right = missing.action.verb.right().as_str();
            let text = v2::denied(context.actor(), &missing);
            return Problem::new(Kind::Forbidden, text).with_right(right);
        }
        Refusal::CrossSite => {
            return Problem::new(Kind::CrossSite, Refused::OtherSite);
        }
        Refusal::ReadOnly => {
            return Problem::new(Kind::ReadOnly, Refused::ReadOnly);
        }
    };
    let challenge = v2::challenge(context, parts, access, (actions, challenged));
    Problem::new(Kind::NotAuthenticated, why).with_header(header::WWW_AUTHENTICATE, challenge)
}

/// The failure of a request with credentials that are not good, or were not checked.
pub(crate) fn unknown(
    context: &RequestContext,
    parts: &Parts,
    (access, actions): (&Access, &[Action<'_>]),
    reason: &Reason,
) -> Problem {
    match Remedy::of(reason, scheme(access)) {
        Remedy::Authenticate(text) => {
            let challenge = v2::challenge(context, parts, access, (actions, Challenged::Invalid));
            Problem::new(Kind::NotAuthenticated, text).with_header(header::WWW_AUTHENTICATE, challenge)
        }
        Remedy::Wait(seconds, text) => {
            let problem = Problem::new(Kind::TooManyRequests, text);
            problem.with_header(header::RETRY_AFTER, seconds.into())
        }
        Remedy::Nothing => Problem::failed("the check of the credentials failed"),
    }
}

/// The scheme that this server takes, for a client that has used another one.
fn scheme(access: &Access) -> &'static str {
    match access.takes_tokens() {
        true => {
            "this server takes a token (`Bearer`) from the realm of the challenge, not a user name and a password"
        }
        false => "this server takes a user name and a password (`Basic`), not a token",
    }
}
