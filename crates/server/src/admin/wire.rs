//! The JSON of the administration API: what the server writes, and what its clients read and send.

mod checks;
mod collections;
mod deletion;
mod files;
mod image;
mod images;
mod retention;
mod search;
mod sessions;
mod traffic;
mod upkeep;

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_activity::Entry;
use wharf_message::Message;

pub use self::deletion::{
    Application, Applied, DamagedRecord, Deleted, DeletedLink, DeletedPointers, DeletedTag, Deletion,
    Emptied, Emptying, GoingManifest, LeftAlone, Plan, PlannedBytes, Restoration, Restored, RetentionPlans,
    Staying, TagAndDigest, TrashPage, Untagged,
};
pub use checks::{
    CheckFinding, Checks, DamagedImage, EndedCheck, FoundBy, NewCheck, OtherCheck, RecordedCheck,
    RequestedCheck, RunningCheck,
};
pub use collections::{
    Collections, EndedCollection, Kept, KeptBy, RequestedCollection, RunningCollection, Space, Why,
};
pub use files::{ChangedFile, ChangedPart, ComparedImage, ComparedLayer, Comparison, LayerFile, LayerFiles};
pub use image::{Child, Configuration, Image, Layer, Manifest, Part, Referrer, Step};
pub use images::{
    ListedImage, ListedPlatform, ListedRepository, ListedTag, ListedUntagged, PullCount, RepositoryPage,
    RepositoryUsage, TagPage, UntaggedPage, Usage,
};
pub use retention::{
    ConfiguredRetention, EndedRetention, Retention, RetentionRule, UnreadRepository, Verdict,
};
pub use search::{SearchHit, SearchMatch, SearchPage};
pub use sessions::{EndedSessions, Session, SessionList};
pub use traffic::{PulledImage, StoredDay, Traffic, TrafficDay, UnpulledImage};
pub use upkeep::{
    Authority, CertificateState, Certificates, ScrubRound, ScrubState, ServerConfiguration, Setting,
    ShownCertificate,
};

/// The caller of a request, and its rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// Name of the account; absent for the operator at the control socket, and for anonymous clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Name of the caller in logs: that of its account, or `robot:` and that of its robot token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The way in which the caller was recognised.
    pub via: Via,
    /// Whether the caller may administer the server.
    pub admin: bool,
}

/// The way in which a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// By the right to use the control socket.
    Operator,
    /// Not at all: the client has no credentials.
    Anonymous,
    /// By a user name and a password.
    Password,
    /// By the token of a token server.
    Token,
    /// By a robot token.
    Robot,
    /// By a proxy in front of the registry, which named the account
    Proxy,
}

/// The program that answers, its store, and the servers of the same bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// Name of the program: `wharf`.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Commit of its sources.
    pub commit: String,
    /// Profile and target of the compiler.
    pub build: String,
    /// Name of the storage engine: `filesystem`, `inmemory`, `s3aws`, `gcs` or `azure`.
    pub engine: String,
    /// When the server started (RFC 3339).
    pub started: String,
    /// How long the server has run, in seconds.
    pub uptime: u64,
    /// Whether no health check fails. While one does, requests for images are refused.
    pub healthy: bool,
    /// The health checks that fail, each with its reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failing: BTreeMap<String, String>,
    /// The servers of the same bucket, this one included; absent where the store is in no bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Vec<Replica>>,
    /// What the scrub has found; absent where none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubState>,
    /// The certificate of TLS; absent where this server ends no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateState>,
    /// What runs beside requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<Worker>,
}

/// Something that runs beside requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// What it does: `busy`, `throttled`, `idle`, `paused`, `failed`, `done` or `stopped`.
    pub state: String,
    /// What it says about its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many of its attempts failed since the start.
    #[serde(default)]
    pub failures: u64,
    /// Why the last attempt failed; absent unless it is to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A server of the same bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// Its name for as long as it runs.
    pub id: String,
    /// Name of its machine, or of its container.
    pub host: String,
    /// Address that it listens at.
    pub address: String,
    /// Version of the program.
    pub version: String,
    /// When it started (RFC 3339), by its own clock.
    pub started: String,
    /// What it does: `starting`, `ready` or `stopping`.
    pub state: String,
    /// Whether it is the one that answers.
    #[serde(default)]
    pub own: bool,
    /// The work that it does for all servers of the bucket, such as `scrub` and `retention`, as long as it has the lease of that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<String>,
}

/// A page of the users in the password file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserPage {
    /// Path of the password file, as it is configured.
    pub file: String,
    /// The users, in the order of the file.
    pub users: Vec<User>,
    /// The cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A user in the password file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Name of the user.
    pub name: String,
    /// Cost of the hash of the password, for a user that can log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u8>,
    /// Reason why the user cannot log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A user to add. Without a password and without a hash, a password is generated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Name of the user.
    pub name: String,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The bcrypt hash of the password, in place of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Secret>,
    /// Cost of the hash that is made of the password: the binary logarithm of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 17))]
    pub cost: Option<u8>,
}

/// Another password of a user. Without a password and without a hash, a password is generated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherPassword {
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The bcrypt hash of the password, in place of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Secret>,
    /// Cost of the hash that is made of the password: the binary logarithm of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 17))]
    pub cost: Option<u8>,
}

/// A user that was added or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedUser {
    /// Name of the user.
    pub name: String,
    /// Path of the password file, as it is configured.
    pub file: String,
    /// The password, if it was generated. It is shown this once, and kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// A user that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovedUser {
    /// Name of the user.
    pub name: String,
    /// Path of the password file, as it is configured.
    pub file: String,
    /// Whether the password file had the user. Another program may have removed it before, and left its robot tokens.
    pub was_user: bool,
    /// Names of the robot tokens that the user had made, which are revoked.
    pub tokens: Vec<String>,
}

/// A page of the robot tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenPage {
    /// The tokens, by their names: all of them for an administrator, otherwise those of the caller.
    pub tokens: Vec<Token>,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A robot token without its secret. Times are those of RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Name of the token.
    pub name: String,
    /// Identifier of the token, which no other ever has.
    pub id: String,
    /// Patterns of the repositories that it is for.
    pub repositories: Vec<String>,
    /// Actions that it is for: some of `pull`, `push` and `delete`.
    pub actions: Vec<String>,
    /// The account in whose name it acts, and beyond whose rights it allows nothing; absent for a token of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// When its secret was made.
    pub created: String,
    /// When it ends; absent for a token that is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was used last; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<String>,
    /// Whether it has ended.
    pub state: TokenState,
}

/// Whether a token has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// It is good, as long as its creator is a user.
    Active,
    /// Its time has passed; it is listed for a month.
    Expired,
}

/// A robot token to make. Without `expires` and without `lifetime` it is good for 90 days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Name of the token: lower case letters, digits, and `.`, `_`, `-` between them.
    pub name: String,
    /// Patterns of the repositories that it is for, such as `team/**`.
    pub repositories: Vec<String>,
    /// Actions that it is for, of `pull`, `push` and `delete`; `pull` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// When it ends (RFC 3339), or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How long it is good, in seconds; in place of `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lifetime: Option<u64>,
}

/// Another secret of a robot token. Without `expires` and without `lifetime` it is good for as long again as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// When it ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How long it is good, in seconds; in place of `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lifetime: Option<u64>,
}

/// A robot token with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedToken {
    /// The token.
    pub token: Token,
    /// The password of any user name, and a bearer token. It is shown this once, and kept nowhere.
    pub secret: Secret,
}

/// The access rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleList {
    /// The file of rules; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<RulesFile>,
    /// The rules in their order: the first that fits decides, and what none allows is denied. Without any, every user may pull,
    /// push and delete.
    pub rules: Vec<Rule>,
}

/// The state of the file of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesFile {
    /// Its path, as it is configured.
    pub path: String,
    /// Why it is not used as it is; the last good rules are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Problems with which it is used.
    pub warnings: Vec<String>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Its line in the file, counted from 1; absent for a rule of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Where it is written, in words.
    pub origin: String,
    /// The accounts that it fits: names, patterns, `@group`, `*` for every user, `anonymous`.
    pub accounts: Vec<String>,
    /// Patterns of the repositories that it fits.
    pub repositories: Vec<String>,
    /// Patterns of the tags that it fits; all when there are none.
    pub tags: Vec<String>,
    /// The networks that it fits; all when there are none.
    pub from: Vec<String>,
    /// What becomes of the actions.
    pub effect: RuleEffect,
    /// The actions: `pull`, `push`, `delete`, `admin`.
    pub actions: Vec<String>,
    /// Whether a push that it allows may create a tag, and not move one.
    pub create_only: bool,
    /// What a refusal may show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What becomes of the actions of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleEffect {
    /// They are allowed.
    Allow,
    /// They are denied.
    Deny,
    /// They are allowed and all others denied, as by a rule of docker_auth.
    Exactly,
}

/// A text to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleText {
    /// The text, in the format of wharf or in that of docker_auth.
    pub text: String,
}

/// What a file with the text would mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckedRules {
    /// Whether a server would use it.
    pub usable: bool,
    /// Its problems, by their lines.
    pub problems: Vec<RuleProblem>,
    /// Its rules, as far as they can be read.
    pub rules: Vec<Rule>,
}

/// A problem of a file of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleProblem {
    /// The line, counted from 1; absent for the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Its consequence.
    pub weight: Weight,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The consequence of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The file is not used.
    Error,
    /// The file is used; part of it does nothing, or not what it seems to.
    Warning,
    /// The file is used, and means what it says.
    Note,
}

/// The history of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagHistory {
    /// Name of the repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The manifests at which it points, and pointed, the latest first.
    pub entries: Vec<PastManifest>,
    /// At how many manifests it pointed in all.
    pub total: usize,
}

/// A manifest at which a tag points, or pointed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PastManifest {
    /// Digest of the manifest.
    pub digest: String,
    /// When the tag last came to point at it (RFC 3339): in whole seconds where the store is a bucket.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// Whether the tag points at it now.
    pub current: bool,
    /// Whether the repository still has it, so that the tag can go back.
    pub available: bool,
    /// Bytes of configurations and layers, of all platforms, each digest counted once; absent where they are not known, and of all but the
    /// latest 200 manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The manifest to which a tag is to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagTarget {
    /// Digest of the manifest, which the history of the tag has.
    pub digest: String,
}

/// A tag that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoredTag {
    /// Name of the repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Digest of the manifest at which it points now.
    pub digest: String,
}

/// A question about the rights of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleQuestion {
    /// The name of the account; absent for a client without one. There need be no such user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Groups of which the account is a member besides those of the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What it would do.
    pub action: RuleAction,
    /// The repository; absent for `admin`, which is about the whole registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Address of the client; absent: it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// An action of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Read from a repository.
    Pull,
    /// Write to a repository.
    Push,
    /// Delete in a repository.
    Delete,
    /// Administer the registry.
    Admin,
}

/// What the rules say to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleDecision {
    /// Whether the account may do it.
    pub allowed: bool,
    /// Whether it may only create the tag, and not move it.
    pub create_only: bool,
    /// The rule that decides; absent: none fits, and so it is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<DecidingRule>,
}

/// The rule that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecidingRule {
    /// The file in which it is written; absent for a rule of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line in the file, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The key of the configuration that stands for it; absent for a rule of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it is written, in words.
    pub origin: String,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A page of the activity log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityPage {
    /// The entries in the order of their times, the newest last.
    pub entries: Vec<Entry>,
    /// The cursor of the page of older entries; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Lines that were passed over: torn by a crash, or written by another version.
    pub unreadable: u64,
}

/// A failure (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Problem {
    /// The kind of failure, which programs may rely on.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    pub kind: String,
    /// The kind of failure in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What was wrong with this request, and what to do.
    pub detail: String,
    /// `detail` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail_messages: Vec<Message>,
    /// Id of the request, which the server's log has as well.
    pub request_id: String,
    /// The right that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// The field of the body, or the parameter of the query, that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A text that never appears in debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent, inline)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        let user: NewUser = serde_json::from_str(r#"{"name":"alice","password":"hunter2"}"#).unwrap();
        let shown = format!("{user:?}");
        assert!(shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
    }
}
