//! The table of problems: a stable type, a status and a title for each kind of failure (RFC 9457).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use wharf_access::{Verb, htpasswd::EditError, robot::RobotError};
use wharf_budget::Exhausted;
use wharf_http::RequestId;
#[cfg(test)]
use wharf_message::Code;
use wharf_message::{Argument, Message, Sentence};
use wharf_pages::NotRendered;
use wharf_registry::Error as RegistryError;

use crate::{
    admin::{DeletionError, RemovalError, TokensError, UsersError, told, wire},
    words::Refused,
};

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// The media type of problems.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What the types of all problems begin with.
const TYPES: &str = "urn:wharf:problem:";

/// Seconds after which a request that found no room may be tried again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The kinds of failure, in one table.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $status:literal, $name:literal, $title:literal;)+) => {
        /// A kind of failure. Programs may rely on its type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// All kinds, by their statuses.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),+];

            /// The codes of the kinds, for pages in other languages: `problem.` and the name.
            #[cfg(test)]
            pub(crate) const CODES: &[Code] = &[$(Code {
                code: concat!("problem.", $name),
                arguments: &[],
            }),+];

            /// What the kind says, for pages in other languages.
            pub(crate) const fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!("problem.", $name),)+
                }
            }

            /// Name, status and title.
            const fn row(self) -> (&'static str, u16, &'static str) {
                match self {
                    $(Self::$kind => ($name, $status, $title),)+
                }
            }

            /// When it is answered, and what to do.
            #[cfg(test)]
            pub(crate) const fn help(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!($($doc),+),)+
                }
            }
        }
    };
}

kinds! {
    /// A parameter of the query is unknown, missing, repeated or wrong; `field` names it.
    BadQuery = 400, "bad-query", "The query is not understood";
    /// The body is no JSON object of the documented form; `field` names the wrong part of it, if it is known.
    BadBody = 400, "bad-body", "The body is not understood";
    /// A header is wrong.
    BadHeader = 400, "bad-header", "A header is not understood";
    /// The request came without TLS to a server that speaks TLS; use `https://`.
    NeedsTls = 400, "needs-tls", "The server speaks TLS";
    /// The request has no credentials, or wrong ones.
    NotAuthenticated = 401, "not-authenticated", "Log in first";
    /// The caller lacks the right that `right` names.
    Forbidden = 403, "forbidden", "A right is missing";
    /// A browser sent the request for a page of another site.
    CrossSite = 403, "cross-site", "The request comes from a page of another site";
    /// Users do not log in, and the request names another host than this machine.
    ForeignHost = 403, "foreign-host", "The request names another host";
    /// Users do not log in, and the request comes from another machine; configure users, or use the control socket.
    NotThisMachine = 403, "not-this-machine", "The request comes from another machine";
    /// The path is not one of this API.
    UnknownPath = 404, "unknown-path", "There is no such path";
    /// There is no such repository, tag or manifest, or the caller may not pull it.
    UnknownImage = 404, "unknown-image", "There is no such image";
    /// The tag never pointed at the manifest to which it is to go back.
    NotInHistory = 404, "not-in-history", "The history of the tag does not have it";
    /// The trash has no record of that deletion: it was restored, given up, or is too old, or the caller may not delete from its repository.
    UnknownDeletion = 404, "unknown-deletion", "There is no such deletion in the trash";
    /// There is no user of that name.
    UnknownUser = 404, "unknown-user", "There is no such user";
    /// There is no token of that name or identifier, or it is the token of another account.
    UnknownToken = 404, "unknown-token", "There is no such token";
    /// There is no such session: it has ended, or it is one of another account.
    UnknownSession = 404, "unknown-session", "There is no such session";
    /// The method is not possible at this path; `Allow` has those that are.
    MethodNotAllowed = 405, "method-not-allowed", "The method is not possible here";
    /// The rest of the body did not come in time; send the request again.
    TooSlow = 408, "too-slow", "The body did not come in time";
    /// There is a user of that name already.
    UserExists = 409, "user-exists", "There is such a user already";
    /// There is a token of that name already; rotate it, revoke it, or take another name.
    TokenExists = 409, "token-exists", "There is such a token already";
    /// The registry, or the account, has as many tokens as it may have; revoke those that are not used.
    TooManyTokens = 409, "too-many-tokens", "There are too many tokens";
    /// The registry takes no robot tokens; `access.tokens.enabled: true` lets it take them.
    NoTokens = 409, "no-tokens", "The registry takes no tokens";
    /// The store can only be read.
    ReadOnly = 409, "read-only", "The store can only be read";
    /// The tag exists, and the caller may only create tags.
    TagExists = 409, "tag-exists", "There is such a tag already";
    /// Deleting is switched off; `storage.delete.enabled: true` switches it on.
    DeletingDisabled = 409, "deleting-disabled", "Deleting is switched off";
    /// A tagged index lists the manifest; delete that first.
    Needed = 409, "needed", "Something else needs it";
    /// Retention would take more of the tags of a repository than one run may; look at the plan, and allow it by `max_delete`.
    TooManyTags = 409, "too-many-tags", "Too many tags would go";
    /// The image cannot be used any more: parts of it are gone or damaged.
    Incomplete = 409, "incomplete", "Parts of the image are missing";
    /// The record of the deletion cannot be read.
    DamagedRecord = 409, "damaged-record", "The record of the deletion cannot be read";
    /// The server keeps no activity log.
    NoActivity = 409, "no-activity", "There is no activity log";
    /// The server collects no garbage.
    NoCollector = 409, "no-collector", "The server collects no garbage";
    /// No password file is configured, so there are no users to administer.
    NoUsers = 409, "no-users", "Users do not log in here";
    /// The list has changed since the page before; begin at its first page again.
    ListChanged = 409, "list-changed", "The list has changed";
    /// A request with the same `Idempotency-Key` is still being carried out; ask again in a moment.
    KeyInUse = 409, "key-in-use", "The same request is being carried out";
    /// What `If-Match` or `plan` names has changed; read it again, and decide anew.
    Changed = 412, "changed", "It has changed meanwhile";
    /// The body has more bytes than the operation takes.
    BodyTooLarge = 413, "body-too-large", "The body is too large";
    /// The body is not announced as `Content-Type: application/json`.
    NotJson = 415, "not-json", "The body must be JSON";
    /// The `Idempotency-Key` was used for another request; choose a new one for each.
    KeyReused = 422, "key-reused", "The key was used for another request";
    /// Too many passwords were wrong, or wait to be checked; ask again after the time in `Retry-After`.
    TooManyRequests = 429, "too-many-requests", "Too many requests wait";
    /// The server failed; its log has the reason under the id of the request.
    Failed = 500, "failed", "The server failed";
    /// The server has no room for the request at the moment; ask again in a moment.
    Busy = 503, "busy", "The server is busy";
}

impl Kind {
    /// The type, a URI.
    pub(crate) fn uri(self) -> String {
        format!("{TYPES}{}", self.row().0)
    }

    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The kind in words.
    pub(crate) const fn title(self) -> &'static str {
        self.row().2
    }
}

/// An answer that is a failure. Boxed, so that successful results stay small.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    detail: Sentence,
    right: Option<&'static str>,
    field: Option<String>,
    headers: HeaderMap,
    /// Detail for the log, which the client does not get.
    cause: Option<String>,
    /// What was changed all the same, in words for the activity log, and nothing secret.
    deed: Option<String>,
}

impl Problem {
    /// A failure; `detail` says what was wrong, and what to do.
    pub(crate) fn new(kind: Kind, detail: impl Into<Sentence>) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: detail.into(),
            right: None,
            field: None,
            headers: HeaderMap::new(),
            cause: None,
            deed: None,
        }))
    }

    /// A failure of this program or of what it relies on; `cause` is for the log.
    pub(crate) fn failed(cause: impl std::fmt::Display) -> Self {
        let mut problem = Self::new(Kind::Failed, Refused::Failed);
        problem.0.cause = Some(cause.to_string());
        problem
    }

    /// The same with the cause for the client as well, which is an administrator.
    fn told_failure(cause: String) -> Self {
        let mut problem = Self::new(Kind::Failed, cause.clone());
        problem.0.cause = Some(cause);
        problem
    }

    /// Says why to the log.
    fn with_cause(mut self, cause: String) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// The same failure without the cause in what the client gets.
    pub(crate) fn without_cause(mut self) -> Self {
        let Some(cause) = self.0.cause.take() else {
            return self;
        };
        let mut problem = Self::failed(cause);
        problem.0.deed = self.0.deed.take();
        problem
    }

    /// Says what was changed although the operation failed, in words for the activity log.
    fn with_deed(mut self, deed: String) -> Self {
        self.0.deed = Some(deed);
        self
    }

    /// Names the right that is missing.
    pub(crate) fn with_right(mut self, right: &'static str) -> Self {
        self.0.right = Some(right);
        self
    }

    /// Names the field of the body, or the parameter of the query, that was wrong.
    pub(crate) fn with_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Closes the connection after this answer.
    pub(crate) fn and_close(self) -> Self {
        self.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What was wrong, and what to do.
    pub(crate) fn detail(&self) -> &Sentence {
        &self.0.detail
    }

    /// The field of the body, or the parameter of the query, that was wrong.
    pub(crate) fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// Headers of the answer.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Detail for the log, which the client does not get.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// What was changed although the operation failed, in words for the activity log; `None`: nothing.
    pub(crate) fn deed(&self) -> Option<&str> {
        self.0.deed.as_deref()
    }

    /// The headers and the body of the answer to the request `id`.
    pub(crate) fn into_parts(self, id: RequestId) -> (StatusCode, HeaderMap, wire::Problem) {
        let Parts {
            kind,
            detail,
            right,
            field,
            headers,
            cause: _,
            deed: _,
        } = *self.0;
        let (detail, detail_messages) = told(detail);
        let body = wire::Problem {
            kind: kind.uri(),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail,
            detail_messages,
            request_id: id.uuid().to_string(),
            right: right.map(str::to_owned),
            field,
        };
        (kind.status(), headers, body)
    }
}

/// The codes of what is wrong with a field, where the text is that of an error of the crate `access`.
#[cfg(test)]
pub(crate) const FIELDS: &[Code] = &[
    Code {
        code: "field.user-name",
        arguments: &["name", "why"],
    },
    Code {
        code: "field.long-password",
        arguments: &[],
    },
    Code {
        code: "field.token-name",
        arguments: &["name"],
    },
    Code {
        code: "field.token-action",
        arguments: &[],
    },
    Code {
        code: "field.token-repository",
        arguments: &[],
    },
    Code {
        code: "field.token-lifetime",
        arguments: &[],
    },
];

/// The text of an error with a code.
fn coded(text: String, code: &'static str) -> Sentence {
    Sentence::new(text, Message::new(code))
}

impl From<Exhausted> for Problem {
    fn from(error: Exhausted) -> Self {
        Self::new(Kind::Busy, error.to_string()).with_header(header::RETRY_AFTER, RETRY_AFTER)
    }
}

impl From<UsersError> for Problem {
    fn from(error: UsersError) -> Self {
        let detail = error.to_string();
        match error {
            UsersError::Unknown { .. } => Self::new(Kind::UnknownUser, detail),
            UsersError::EmptyPassword => {
                Self::new(Kind::BadBody, Refused::EmptyPassword).with_field("password")
            }
            UsersError::LongPassword => {
                let detail = coded(detail, "field.long-password");
                Self::new(Kind::BadBody, detail).with_field("password")
            }
            UsersError::Edit(EditError::Name(name, why)) => {
                let message = Message::new("field.user-name")
                    .with("name", Argument::text(&name))
                    .with("why", Argument::english(&why));
                Self::new(Kind::BadBody, Sentence::new(detail, message)).with_field("name")
            }
            UsersError::Edit(EditError::Hash(_)) => Self::new(Kind::BadBody, detail).with_field("hash"),
            UsersError::Edit(EditError::Exists(_)) => Self::new(Kind::UserExists, detail),
            UsersError::Edit(EditError::Changed { .. }) => Self::new(
                Kind::Changed,
                format!("{detail}; read the list again, and decide anew"),
            ),
            // The administrator is the one to mend it, and gets the reason.
            UsersError::Edit(EditError::Io { .. } | EditError::Damaged { .. }) | UsersError::Random(_) => {
                Self::told_failure(detail)
            }
        }
    }
}

impl From<RemovalError<TokensError>> for Problem {
    fn from(error: RemovalError<TokensError>) -> Self {
        let detail = error.to_string();
        match error {
            RemovalError::Unknown(error) => error.into(),
            RemovalError::UnknownTokens { .. } => Self::told_failure(detail),
            RemovalError::Tokens { name, .. } => Self::told_failure(detail)
                .with_deed(format!("removed the user `{name}`, not its robot tokens")),
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let kind = match &error {
            RegistryError::ManifestUnknown { .. } | RegistryError::NameUnknown { .. } => Kind::UnknownImage,
            RegistryError::DeleteDisabled => Kind::DeletingDisabled,
            RegistryError::NeededByIndex { .. } => Kind::Needed,
            RegistryError::TagDenied { .. } => {
                return Self::new(Kind::Forbidden, error.sentence()).with_right(Verb::Delete.as_str());
            }
            RegistryError::DeletionInterrupted { source, .. } => {
                return match **source {
                    RegistryError::Exhausted(_) | RegistryError::Busy { .. } => {
                        Self::new(Kind::Busy, error.sentence()).with_header(header::RETRY_AFTER, RETRY_AFTER)
                    }
                    _ => Self::new(Kind::Failed, error.sentence()).with_cause(format!("{error}: {source}")),
                };
            }
            RegistryError::TooManyTags { .. } => Kind::TooManyTags,
            RegistryError::TooManyToSort => {
                return Self::new(Kind::BadQuery, error.sentence()).with_field("sort");
            }
            RegistryError::NotInHistory { .. } => Kind::NotInHistory,
            RegistryError::TrashUnknown { .. } => Kind::UnknownDeletion,
            RegistryError::TrashDamaged { .. } => Kind::DamagedRecord,
            RegistryError::PreconditionFailed { .. } | RegistryError::PlanChanged { .. } => Kind::Changed,
            RegistryError::TagExists { .. } => Kind::TagExists,
            RegistryError::ManifestReferencesUnknown(_) | RegistryError::ManifestInvalid { .. } => {
                Kind::Incomplete
            }
            RegistryError::Exhausted(_) | RegistryError::Busy { .. } => {
                return Self::new(Kind::Busy, error.sentence()).with_header(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => return Self::failed(error),
        };
        Self::new(kind, error.sentence())
    }
}

impl From<DeletionError> for Problem {
    fn from(error: DeletionError) -> Self {
        Self::new(Kind::BadBody, error.to_string()).with_field(error.field)
    }
}

impl From<NotRendered> for Problem {
    fn from(error: NotRendered) -> Self {
        Self::failed(error)
    }
}

impl From<TokensError> for Problem {
    fn from(error: TokensError) -> Self {
        let detail = error.to_string();
        let wrong = |field: &str, detail: Sentence| Self::new(Kind::BadBody, detail).with_field(field);
        let error = match error {
            TokensError::Field { field, .. } => return wrong(field, detail.into()),
            TokensError::NoUser(_) | TokensError::UserChanged(_) => {
                return Self::new(Kind::Forbidden, detail);
            }
            // What is said to an administrator is replaced for other accounts.
            TokensError::Unread(_) => return Self::told_failure(detail),
            TokensError::Robot(error) => error,
        };
        match error {
            RobotError::Name(name) => {
                let message = Message::new("field.token-name").with("name", Argument::text(&name));
                wrong("name", Sentence::new(detail, message))
            }
            RobotError::NoAction => wrong("actions", coded(detail, "field.token-action")),
            RobotError::NoRepository => wrong("repositories", coded(detail, "field.token-repository")),
            RobotError::Patterns => wrong("repositories", detail.into()),
            RobotError::Lifetime => wrong("lifetime", coded(detail, "field.token-lifetime")),
            RobotError::Exists(_) => Self::new(Kind::TokenExists, detail),
            RobotError::NotFound(_) => Self::new(Kind::UnknownToken, detail),
            RobotError::TooMany | RobotError::TooManyOfAccount(_) => Self::new(Kind::TooManyTokens, detail),
            RobotError::State(_) | RobotError::Random(_) => Self::told_failure(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_kind_has_its_own_type_and_an_error_for_a_status() {
        let types: HashSet<String> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(types.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let status = kind.status();
            assert!(status.is_client_error() || status.is_server_error(), "{kind:?}");
        }
    }

    #[test]
    fn the_documentation_has_the_table_of_problems() {
        let written = include_str!("../../../../docs/api.md");
        for kind in Kind::ALL {
            let (name, status, _) = kind.row();
            let row = format!("| `{name}` | {status} | {} |", kind.help().trim());
            assert!(written.contains(&row), "docs/api.md lacks this row:\n{row}");
        }
    }
}
