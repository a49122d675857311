//! The services of administration, without a transport: the API and the commands of the operator call the same functions.

mod about;
mod activity;
mod artifact;
mod by_itself;
mod checks;
mod collections;
mod comparison;
mod deletions;
mod files;
mod image;
mod images;
mod plans;
mod pulls;
mod removal;
mod retention;
mod rules;
mod search;
mod sessions;
mod shown;
mod tags;
mod tokens;
mod traffic;
mod trash;
mod untagged;
mod upkeep;
mod users;
mod why;
pub mod wire;

use std::sync::Arc;

pub use about::{About, Replicas};
pub use activity::{ActivityError, ActivityLog};
pub use artifact::{
    ArtifactContent, Package, Packages, is_sbom, kind_of_attached, kind_of_attached_tag, read_artifact,
    titles_of,
};
pub use checks::Checks;
pub use collections::{CollectionSchedule, Collections};
pub use comparison::{ChangesWanted, compare_images};
pub use deletions::{apply_deletion, deletion_of, plan_deletion};
pub use files::{FilesWanted, LayerFiles, layer_files};
pub use image::show_image;
pub use images::{list_repositories, list_tags, list_untagged, show_usage};
pub use plans::DeletionError;
pub use pulls::PullCounts;
pub use removal::{Removal, RemovalError, Removed};
pub use retention::{DEFAULT_KEEP_HISTORY, Retention, RetentionSchedule};
pub(crate) use rules::described;
pub use rules::{AccessRules, QuestionError, check_rules, decide, list_rules};
pub use search::search;
pub use sessions::list_sessions;
pub(crate) use shown::told;
pub use tags::{restore_tag, tag_history};
pub use tokens::{Tokens, TokensError};
pub use traffic::show_traffic;
pub use trash::{empty_trash, list_trash, restore_deletion, show_deletion};
pub use untagged::UntaggedManifests;
pub use upkeep::Upkeep;
pub use users::{DEFAULT_COST, Named, NewPassword, Users, UsersError};
pub use why::why;

/// What can be administered of one server.
#[derive(Debug, Clone, Default)]
pub struct Admin {
    /// The program, its store, and its replicas.
    pub about: About,
    /// The configuration as it counts.
    pub configuration: Arc<wire::ServerConfiguration>,
    /// What the server takes care of by itself.
    pub upkeep: Upkeep,
    /// The users in the password file; `None`: users do not log in.
    pub users: Option<Users>,
    /// The access rules; `None`: users do not log in.
    pub rules: Option<AccessRules>,
    /// The activity log; `None`: there is none.
    pub activity: Option<ActivityLog>,
    /// The collector; `None`: nothing is collected, because the store can only be read.
    pub collections: Option<Collections>,
    /// The checks of the store; `None`: there are none.
    pub checks: Option<Checks>,
    /// The rules of retention, of the configuration and of requests.
    pub retention: Retention,
    /// What is remembered of the files in layers.
    pub files: LayerFiles,
    /// How often images were pulled.
    pub pulls: PullCounts,
    /// The robot tokens; `None`: the registry takes none.
    pub tokens: Option<Tokens>,
    /// The robot tokens in the store, which end with their users also while the registry takes none; `None`: there are none.
    pub stored_tokens: Option<Tokens>,
}
