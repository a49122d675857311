//! An entry of the activity log: its fields, which are named as those of events, and its line of JSON.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time;

/// One entry of the activity log.
///
/// The fields have the names that they have in the events of registry:2 (`notifications`), and the id of the request is
/// the one of the log, of events and of traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ActivityEntry")]
pub struct Entry {
    /// When it happened; of several that are one entry, the first
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub timestamp: Timestamp,
    /// When the last of several happened
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::optional")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// What happened
    pub action: Action,
    /// How often it happened
    pub count: u64,
    /// What it ended with
    pub result: Outcome,
    /// Why a login failed, which token was used, what was administered, or out of which browsers an account was signed
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
    /// Content that it happened to
    #[serde(default, skip_serializing_if = "Target::is_nothing")]
    pub target: Target,
    /// Request that it came with
    #[serde(default, skip_serializing_if = "Request::is_nothing")]
    pub request: Request,
    /// The side that asked for it
    #[serde(default, skip_serializing_if = "Actor::is_unnamed")]
    pub actor: Actor,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ActivityAction")]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A manifest was read.
    Pull,
    /// A manifest or a blob was stored.
    Push,
    /// A blob of one repository became one of another.
    Mount,
    /// A manifest, a tag or a blob was deleted.
    Delete,
    /// A client was refused for its credentials.
    LoginFailure,
    /// A token was used.
    TokenUse,
    /// Users, rules or tokens were changed.
    Administration,
    /// A browser was signed in.
    SignIn,
    /// Browsers were signed out.
    SignOut,
}

/// What an action ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ActivityOutcome")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was refused.
    Denied,
    /// It was tried, and failed.
    Failed,
    /// It happened, and there was no room to say more than how often.
    Unrecorded,
}

/// Content that something happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ActivityTarget")]
#[serde(rename_all = "camelCase", default)]
pub struct Target {
    /// Media type of the content
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Box<str>>,
    /// Size in bytes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest of the content
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Box<str>>,
    /// Repository that has it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<Box<str>>,
    /// Repository that a blob was mounted from
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_repository: Option<Box<str>>,
    /// Tag that was pushed, pulled by, or deleted
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Box<str>>,
}

/// Request that something came with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ActivityRequest")]
#[serde(default)]
pub struct Request {
    /// Id of the request; of several that are one entry, the first
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// Address of the client, without its port, behind trusted proxies
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<Box<str>>,
    /// `User-Agent` of the client
    #[serde(rename = "useragent", skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
}

/// The side that asked for something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ActivityActor")]
#[serde(default)]
pub struct Actor {
    /// Name of the account; of a failed login, the name that was tried
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
}

impl Entry {
    /// The entry as a line of JSON, with its line feed.
    pub fn line(&self) -> Vec<u8> {
        // Writing plain texts and numbers to memory cannot fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The entry in a line. `None` for a line that is torn, or of a version that wrote another form.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

impl Target {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Request {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Actor {
    fn is_unnamed(&self) -> bool {
        self.name.is_none()
    }
}

impl Action {
    /// All there are, each at its index.
    pub const ALL: [Self; 9] = [
        Self::Pull,
        Self::Push,
        Self::Mount,
        Self::Delete,
        Self::LoginFailure,
        Self::TokenUse,
        Self::Administration,
        Self::SignIn,
        Self::SignOut,
    ];

    /// Name in the log, in metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Mount => "mount",
            Self::Delete => "delete",
            Self::LoginFailure => "login_failure",
            Self::TokenUse => "token_use",
            Self::Administration => "administration",
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
        }
    }
}

impl Outcome {
    /// Name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// At most `limit` bytes of `text`, whole characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The texts of an id, an address and the like.
pub(crate) fn text(value: impl fmt::Display) -> Box<str> {
    value.to_string().into()
}

/// The text of an id in its usual form.
pub(crate) fn id(id: Uuid) -> Box<str> {
    text(id.hyphenated())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            timestamp: "2026-11-29T15:04:24.1234Z".parse().unwrap(),
            until: None,
            action: Action::Push,
            count: 1,
            result: Outcome::Ok,
            detail: None,
            target: Target::default(),
            request: Request::default(),
            actor: Actor::default(),
        }
    }

    #[test]
    fn a_line_has_the_names_of_events_and_leaves_out_what_is_unknown() {
        let short = r#"{"timestamp":"2026-11-29T15:04:24.123Z","action":"push","count":1,"result":"ok"}"#;
        assert_eq!(String::from_utf8(entry().line()).unwrap(), format!("{short}\n"));
        let some = |text: &str| Some(text.into());
        let whole = Entry {
            until: Some("2026-11-29T15:04:25Z".parse().unwrap()),
            action: Action::LoginFailure,
            count: 7,
            result: Outcome::Denied,
            detail: some("wrong password"),
            target: Target {
                media_type: some("m"),
                size: Some(7),
                digest: some("sha256:a"),
                repository: some("a/b"),
                from_repository: some("c"),
                tag: some("1.0"),
            },
            request: Request {
                id: some("r"),
                addr: some("192.0.2.1"),
                user_agent: some("evil\n\u{1b}[31m"),
            },
            actor: Actor { name: some("alice") },
            ..entry()
        };
        let expected = concat!(
            r#"{"timestamp":"2026-11-29T15:04:24.123Z","until":"2026-11-29T15:04:25.000Z","action":"login_failure","#,
            r#""count":7,"result":"denied","detail":"wrong password","target":{"mediaType":"m","size":7,"#,
            r#""digest":"sha256:a","repository":"a/b","fromRepository":"c","tag":"1.0"},"#,
            r#""request":{"id":"r","addr":"192.0.2.1","useragent":"evil\n\u001b[31m"},"actor":{"name":"alice"}}"#,
        );
        assert_eq!(String::from_utf8(whole.line()).unwrap(), format!("{expected}\n"));
        let read = Entry::parse(expected.as_bytes()).unwrap();
        assert_eq!(read.line(), whole.line());
        assert_eq!(Entry::parse(short.as_bytes()).unwrap().line(), entry().line());
        assert_eq!(Entry::parse(&expected.as_bytes()[..200]), None, "a torn line");
    }

    #[test]
    fn each_action_stands_at_its_index_with_its_name() {
        for (index, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, index);
            let json = serde_json::to_string(&action).unwrap();
            assert_eq!(json, format!("\"{action}\""));
        }
        for outcome in [Outcome::Ok, Outcome::Denied, Outcome::Failed, Outcome::Unrecorded] {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(json, format!("\"{}\"", outcome.as_str()));
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("abc", 9), "abc");
    }
}
