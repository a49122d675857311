//! The table of operations, from which the router, `Allow`, the OpenAPI document and the tests are made.

use http::Method;
use wharf_access::Verb;

use super::{
    about, activity,
    caller::Right,
    checks, collections, deletions, files, images,
    operation::{Effect, Operation, schema},
    parameters::{
        ACCOUNT, ACTION, CURSOR, DELETION, DIGEST, FROM, IN, LAYER, LIMIT, MATCH, NAME_OF_REPOSITORY,
        NAME_OF_USER, OF_ACCOUNT, ONE_REPOSITORY, PATH, PLATFORM, REFERENCE, REPOSITORY, SESSION, SINCE,
        SORT, TAG, TEXT, TEXT_OF_PATHS, TO, TOKEN, UNTIL, WITH,
    },
    problem::Kind,
    retention, rules, sessions, tags, tokens, trash, users,
};
use crate::admin::wire;

/// A read without parameters, whose fields a row of the table overrides.
const READ: Operation = Operation {
    id: "",
    method: Method::GET,
    path: "",
    summary: "",
    right: Right::Any,
    query: &[],
    body: None,
    status: 200,
    answer: None,
    has_version: false,
    effect: Effect::None,
    body_limit: 64 << 10,
    problems: &[],
    handler: about::document,
};

/// All operations, those of one path one after the other.
pub(crate) static OPERATIONS: [Operation; 46] = [
    Operation {
        id: "whoAmI",
        path: "/whoami",
        summary: "Show the caller, and whether it may administer the server",
        answer: Some(schema::<wire::WhoAmI>),
        handler: about::whoami,
        ..READ
    },
    Operation {
        id: "showServer",
        path: "/server",
        summary: "Show version, engine, health and replicas",
        right: Right::Admin,
        answer: Some(schema::<wire::Server>),
        handler: about::server,
        ..READ
    },
    Operation {
        id: "showConfiguration",
        path: "/configuration",
        summary: "Show the configuration as it counts, each value with its origin, without secrets",
        right: Right::Admin,
        answer: Some(schema::<wire::ServerConfiguration>),
        handler: about::configuration,
        ..READ
    },
    Operation {
        id: "showCertificates",
        path: "/certificates",
        summary: "Show the certificates of TLS, and what is wrong with them",
        right: Right::Admin,
        answer: Some(schema::<wire::Certificates>),
        handler: about::certificates,
        ..READ
    },
    Operation {
        id: "showAuthority",
        path: "/authority",
        summary: "Show the certificate that clients must be told to trust",
        answer: Some(schema::<wire::Authority>),
        handler: about::authority,
        ..READ
    },
    Operation {
        id: "showApi",
        path: "/openapi.json",
        summary: "Show this document",
        ..READ
    },
    Operation {
        id: "listUsers",
        path: "/users",
        summary: "List the users in the password file, in its order",
        right: Right::Admin,
        query: &[CURSOR, LIMIT],
        answer: Some(schema::<wire::UserPage>),
        has_version: true,
        problems: &[Kind::NoUsers, Kind::ListChanged],
        handler: users::list,
        ..READ
    },
    Operation {
        id: "addUser",
        method: Method::POST,
        path: "/users",
        summary: "Add a user, with a given or a generated password",
        right: Right::Admin,
        body: Some(schema::<wire::NewUser>),
        status: 201,
        answer: Some(schema::<wire::ChangedUser>),
        has_version: true,
        effect: Effect::Settings,
        problems: &[Kind::NoUsers, Kind::UserExists],
        handler: users::add,
        ..READ
    },
    Operation {
        id: "removeUser",
        method: Method::DELETE,
        path: "/users",
        summary: "Remove a user, and revoke its robot tokens; requests of both are refused from then on",
        right: Right::Admin,
        query: &[NAME_OF_USER],
        answer: Some(schema::<wire::RemovedUser>),
        has_version: true,
        effect: Effect::Settings,
        problems: &[Kind::NoUsers, Kind::UnknownUser],
        handler: users::remove,
        ..READ
    },
    Operation {
        id: "setPassword",
        method: Method::PUT,
        path: "/users/password",
        summary: "Give a user another password, given or generated",
        right: Right::Admin,
        query: &[NAME_OF_USER],
        body: Some(schema::<wire::OtherPassword>),
        answer: Some(schema::<wire::ChangedUser>),
        has_version: true,
        effect: Effect::Settings,
        problems: &[Kind::NoUsers, Kind::UnknownUser],
        handler: users::set_password,
        ..READ
    },
    Operation {
        id: "listTokens",
        path: "/tokens",
        summary: "List the robot tokens by their names: one's own, or all for `admin`",
        right: Right::Account,
        query: &[CURSOR, LIMIT],
        answer: Some(schema::<wire::TokenPage>),
        problems: &[Kind::NoTokens],
        handler: tokens::list,
        ..READ
    },
    Operation {
        id: "createToken",
        method: Method::POST,
        path: "/tokens",
        summary: "Make a robot token in the name of the caller, and show it once",
        right: Right::Account,
        body: Some(schema::<wire::NewToken>),
        status: 201,
        answer: Some(schema::<wire::IssuedToken>),
        effect: Effect::Secrets,
        problems: &[Kind::NoTokens, Kind::TokenExists, Kind::TooManyTokens],
        handler: tokens::create,
        ..READ
    },
    Operation {
        id: "revokeToken",
        method: Method::DELETE,
        path: "/tokens",
        summary: "End a robot token, whose requests are refused from then on",
        right: Right::Account,
        query: &[TOKEN],
        answer: Some(schema::<wire::Token>),
        effect: Effect::Settings,
        problems: &[Kind::NoTokens, Kind::UnknownToken],
        handler: tokens::revoke,
        ..READ
    },
    Operation {
        id: "rotateToken",
        method: Method::POST,
        path: "/tokens/rotate",
        summary: "Give a robot token another secret, and show it once",
        right: Right::Account,
        query: &[TOKEN],
        body: Some(schema::<wire::Rotation>),
        answer: Some(schema::<wire::IssuedToken>),
        effect: Effect::Secrets,
        problems: &[Kind::NoTokens, Kind::UnknownToken],
        handler: tokens::rotate,
        ..READ
    },
    Operation {
        id: "listSessions",
        path: "/sessions",
        summary: "List the browsers in which an account is signed in",
        right: Right::Account,
        query: &[OF_ACCOUNT],
        answer: Some(schema::<wire::SessionList>),
        problems: &[Kind::NoUsers],
        handler: sessions::list,
        ..READ
    },
    Operation {
        id: "endSession",
        method: Method::DELETE,
        path: "/sessions",
        summary: "Sign an account out of one browser",
        right: Right::Account,
        query: &[SESSION, OF_ACCOUNT],
        answer: Some(schema::<wire::EndedSessions>),
        effect: Effect::Sessions,
        problems: &[Kind::NoUsers, Kind::UnknownSession],
        handler: sessions::end,
        ..READ
    },
    Operation {
        id: "endSessions",
        method: Method::POST,
        path: "/sessions/end",
        summary: "Sign an account out of all browsers",
        right: Right::Account,
        query: &[OF_ACCOUNT],
        answer: Some(schema::<wire::EndedSessions>),
        effect: Effect::Sessions,
        problems: &[Kind::NoUsers],
        handler: sessions::end_all,
        ..READ
    },
    Operation {
        id: "listActivity",
        path: "/activity",
        summary: "Show who did what, the newest last: one's own account, or all for `admin`",
        right: Right::Account,
        query: &[REPOSITORY, ACCOUNT, ACTION, SINCE, UNTIL, CURSOR, LIMIT],
        answer: Some(schema::<wire::ActivityPage>),
        problems: &[Kind::NoActivity],
        handler: activity::list,
        ..READ
    },
    Operation {
        id: "listRepositories",
        path: "/repositories",
        summary: "List the repositories: tags, sizes, pushes and pulls",
        right: Right::Catalog,
        query: &[MATCH, SORT, CURSOR, LIMIT],
        answer: Some(schema::<wire::RepositoryPage>),
        handler: images::repositories,
        ..READ
    },
    Operation {
        id: "listTags",
        path: "/tags",
        summary: "List the tags of a repository: sizes, platforms, pushes, pulls, and what is damaged",
        right: Right::Repository(&[Verb::Pull]),
        query: &[NAME_OF_REPOSITORY, MATCH, SORT, CURSOR, LIMIT, WITH],
        answer: Some(schema::<wire::TagPage>),
        problems: &[Kind::UnknownImage],
        handler: images::tags,
        ..READ
    },
    Operation {
        id: "listUntagged",
        path: "/untagged",
        summary: "List the manifests of a repository that no tag reaches, those that came last first, and what else leads to them",
        right: Right::Repository(&[Verb::Pull]),
        query: &[NAME_OF_REPOSITORY, CURSOR, LIMIT],
        answer: Some(schema::<wire::UntaggedPage>),
        problems: &[Kind::UnknownImage],
        handler: images::untagged,
        ..READ
    },
    Operation {
        id: "showImage",
        path: "/image",
        summary: "Show an image: manifest, configuration, layers, platforms, referrers, tags, and what is damaged",
        right: Right::Repository(&[Verb::Pull]),
        query: &[NAME_OF_REPOSITORY, REFERENCE],
        answer: Some(schema::<wire::Image>),
        problems: &[Kind::UnknownImage],
        handler: images::image,
        ..READ
    },
    Operation {
        id: "listFiles",
        path: "/files",
        summary: "List the files of one layer of an image, in one of its directories",
        right: Right::Repository(&[Verb::Pull]),
        query: &[
            NAME_OF_REPOSITORY,
            REFERENCE,
            PLATFORM,
            LAYER,
            PATH,
            TEXT_OF_PATHS,
            CURSOR,
            LIMIT,
        ],
        answer: Some(schema::<wire::LayerFiles>),
        problems: &[Kind::UnknownImage],
        handler: files::list,
        ..READ
    },
    Operation {
        id: "compareImages",
        path: "/comparison",
        summary: "Show in what two images of a repository differ: sizes, configuration, layers and files",
        right: Right::Repository(&[Verb::Pull]),
        query: &[NAME_OF_REPOSITORY, FROM, TO, PLATFORM, CURSOR, LIMIT],
        answer: Some(schema::<wire::Comparison>),
        problems: &[Kind::UnknownImage],
        handler: files::compare,
        ..READ
    },
    Operation {
        id: "search",
        path: "/search",
        summary: "Search the tags by names, labels, annotations and digests",
        right: Right::Catalog,
        query: &[TEXT, IN, CURSOR, LIMIT],
        answer: Some(schema::<wire::SearchPage>),
        handler: images::search,
        ..READ
    },
    Operation {
        id: "showUsage",
        path: "/usage",
        summary: "Show the disk use of the largest repositories: what only they need, and what they share",
        right: Right::Admin,
        query: &[LIMIT],
        answer: Some(schema::<wire::Usage>),
        handler: images::usage,
        ..READ
    },
    Operation {
        id: "showTraffic",
        path: "/traffic",
        summary: "Show what was pulled, pushed, refused and stored on each day, and which images are pulled most, and never",
        right: Right::Admin,
        answer: Some(schema::<wire::Traffic>),
        handler: images::traffic,
        ..READ
    },
    Operation {
        id: "showTagHistory",
        path: "/tags/history",
        summary: "Show at which manifests a tag pointed, the latest first",
        right: Right::Repository(&[Verb::Pull]),
        query: &[NAME_OF_REPOSITORY, TAG, LIMIT],
        answer: Some(schema::<wire::TagHistory>),
        has_version: true,
        problems: &[Kind::UnknownImage],
        handler: tags::history,
        ..READ
    },
    Operation {
        id: "restoreTag",
        method: Method::POST,
        path: "/tags/restore",
        summary: "Let a tag point again at a manifest of its history",
        right: Right::Repository(&[Verb::Pull, Verb::Push]),
        query: &[NAME_OF_REPOSITORY, TAG],
        body: Some(schema::<wire::TagTarget>),
        answer: Some(schema::<wire::RestoredTag>),
        has_version: true,
        effect: Effect::Content,
        problems: &[
            Kind::UnknownImage,
            Kind::NotInHistory,
            Kind::TagExists,
            Kind::Incomplete,
        ],
        handler: tags::restore,
        ..READ
    },
    Operation {
        id: "showCollections",
        path: "/collections",
        summary: "Show the collection of garbage that runs, the last one, and when the next one begins",
        right: Right::Admin,
        answer: Some(schema::<wire::Collections>),
        problems: &[Kind::NoCollector],
        handler: collections::show,
        ..READ
    },
    Operation {
        id: "collect",
        method: Method::POST,
        path: "/collections",
        summary: "Begin a collection of garbage",
        right: Right::Admin,
        status: 202,
        answer: Some(schema::<wire::RequestedCollection>),
        effect: Effect::Settings,
        problems: &[Kind::NoCollector],
        handler: collections::ask,
        ..READ
    },
    Operation {
        id: "showChecks",
        path: "/checks",
        summary: "Show what is damaged, the scrub, the last check of the store, and the one that runs",
        right: Right::Admin,
        answer: Some(schema::<wire::Checks>),
        handler: checks::show,
        ..READ
    },
    Operation {
        id: "check",
        method: Method::POST,
        path: "/checks",
        summary: "Begin a check of the whole store",
        right: Right::Admin,
        body: Some(schema::<wire::NewCheck>),
        status: 202,
        answer: Some(schema::<wire::RequestedCheck>),
        effect: Effect::Store,
        handler: checks::ask,
        ..READ
    },
    Operation {
        id: "explain",
        path: "/why",
        summary: "Show what keeps a digest from being collected",
        right: Right::Admin,
        query: &[DIGEST],
        answer: Some(schema::<wire::Why>),
        problems: &[Kind::NoCollector],
        handler: collections::why,
        ..READ
    },
    Operation {
        id: "planDeletion",
        method: Method::POST,
        path: "/plans",
        summary: "Show what a deletion would remove, what stays and why, and the bytes that come free",
        right: Right::Repository(&[Verb::Pull, Verb::Delete]),
        query: &[NAME_OF_REPOSITORY],
        body: Some(schema::<wire::Deletion>),
        body_limit: 1 << 20,
        answer: Some(schema::<wire::Plan>),
        problems: &[Kind::UnknownImage, Kind::Needed],
        handler: deletions::plan,
        ..READ
    },
    Operation {
        id: "applyDeletion",
        method: Method::POST,
        path: "/plans/apply",
        summary: "Delete what the plan says, and keep it in the trash",
        right: Right::Repository(&[Verb::Pull, Verb::Delete]),
        query: &[NAME_OF_REPOSITORY],
        body: Some(schema::<wire::Application>),
        body_limit: 1 << 20,
        answer: Some(schema::<wire::Applied>),
        effect: Effect::Content,
        problems: &[
            Kind::UnknownImage,
            Kind::Needed,
            Kind::DeletingDisabled,
            Kind::TooManyTags,
            Kind::Changed,
        ],
        handler: deletions::apply,
        ..READ
    },
    Operation {
        id: "showRetention",
        path: "/retention",
        summary: "Show the rules of retention in the configuration, and what they have done",
        right: Right::Admin,
        answer: Some(schema::<wire::ConfiguredRetention>),
        handler: retention::show,
        ..READ
    },
    Operation {
        id: "planRetention",
        method: Method::POST,
        path: "/retention/plans",
        summary: "Show what rules of retention would take from all repositories, a plan for each",
        right: Right::Admin,
        query: &[CURSOR],
        body: Some(schema::<wire::Retention>),
        body_limit: 1 << 20,
        answer: Some(schema::<wire::RetentionPlans>),
        handler: retention::plan,
        ..READ
    },
    Operation {
        id: "listTrash",
        path: "/trash",
        summary: "List the deletions that can be restored, the newest first, from repositories from which the caller may delete",
        query: &[ONE_REPOSITORY, CURSOR, LIMIT],
        answer: Some(schema::<wire::TrashPage>),
        handler: trash::list,
        ..READ
    },
    Operation {
        id: "giveUpDeletion",
        method: Method::DELETE,
        path: "/trash",
        summary: "Give a deletion up: it cannot be restored any more, and a collection frees its bytes",
        right: Right::Admin,
        query: &[DELETION],
        answer: Some(schema::<wire::Emptied>),
        effect: Effect::Store,
        problems: &[Kind::UnknownDeletion],
        handler: trash::remove,
        ..READ
    },
    Operation {
        id: "showDeletion",
        path: "/trash/record",
        summary: "Show the tags, manifests and layers of a deletion",
        query: &[DELETION],
        answer: Some(schema::<wire::DeletedPointers>),
        problems: &[Kind::UnknownDeletion, Kind::DamagedRecord],
        handler: trash::show,
        ..READ
    },
    Operation {
        id: "restoreDeletion",
        method: Method::POST,
        path: "/trash/restore",
        summary: "Take a deletion back, which needs the rights `push` and `delete` on its repository",
        query: &[DELETION],
        body: Some(schema::<wire::Restoration>),
        answer: Some(schema::<wire::Restored>),
        effect: Effect::Content,
        problems: &[Kind::Forbidden, Kind::UnknownDeletion, Kind::DamagedRecord],
        handler: trash::restore,
        ..READ
    },
    Operation {
        id: "emptyTrash",
        method: Method::POST,
        path: "/trash/empty",
        summary: "Give up all deletions that are older than a time",
        right: Right::Admin,
        body: Some(schema::<wire::Emptying>),
        answer: Some(schema::<wire::Emptied>),
        effect: Effect::Store,
        handler: trash::empty,
        ..READ
    },
    Operation {
        id: "showRules",
        path: "/rules",
        summary: "Show the access rules in force, and the state of their file",
        right: Right::Admin,
        answer: Some(schema::<wire::RuleList>),
        problems: &[Kind::NoUsers],
        handler: rules::show,
        ..READ
    },
    Operation {
        id: "checkRules",
        method: Method::POST,
        path: "/rules/check",
        summary: "Check a text as a file of access rules, without using it",
        right: Right::Admin,
        body: Some(schema::<wire::RuleText>),
        body_limit: 1 << 20,
        answer: Some(schema::<wire::CheckedRules>),
        handler: rules::check,
        ..READ
    },
    Operation {
        id: "testRules",
        method: Method::POST,
        path: "/rules/test",
        summary: "Show whether an account may do something, and the rule that decides",
        right: Right::Admin,
        body: Some(schema::<wire::RuleQuestion>),
        answer: Some(schema::<wire::RuleDecision>),
        problems: &[Kind::NoUsers],
        handler: rules::test,
        ..READ
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_operation_has_its_own_id_and_its_own_place() {
        let ids: HashSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        let places: HashSet<String> = OPERATIONS
            .iter()
            .map(|operation| format!("{operation:?}"))
            .collect();
        assert_eq!((ids.len(), places.len()), (OPERATIONS.len(), OPERATIONS.len()));
        assert!(OPERATIONS.iter().all(|operation| operation.path.starts_with('/')));
    }

    #[test]
    fn the_documentation_has_the_table_of_operations() {
        let written = include_str!("../../../../docs/api.md");
        for operation in &OPERATIONS {
            let right = match operation.right {
                Right::Any => String::new(),
                Right::Account => "an account".to_owned(),
                right @ (Right::Catalog | Right::Admin | Right::Repository(_)) => {
                    format!("`{}`", right.name())
                }
            };
            let query: Vec<String> = operation
                .query
                .iter()
                .map(|parameter| format!("`{}`", parameter.name))
                .collect();
            let row = format!(
                "| `{} {}` | {} | {} | {right} |",
                operation.method,
                operation.path,
                query.join(", "),
                operation.summary
            );
            assert!(written.contains(&row), "docs/api.md lacks this row:\n{row}");
        }
    }
}
