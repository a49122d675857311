//! What administrators may see and change, and the control socket.

use std::sync::Arc;

use anyhow::Context as _;
use wharf_access::{Access, robot::Robots};
use wharf_activity::Activity;
use wharf_http::{Listener, SocketOwner};
use wharf_server::admin::{
    About, AccessRules, ActivityLog, Admin, PullCounts, Replicas, Retention, Tokens, Upkeep, Users,
};
use wharf_storage::{Objects, Storage};

use super::telemetry;
use crate::{
    config::{Auth, Engine, Settings},
    version,
};

/// The user of the server alone, and root.
const MODE: u32 = 0o600;

/// Makes the services of administration.
pub(super) fn services(
    settings: &Settings,
    store: &Arc<dyn Storage>,
    access: Option<&Arc<Access>>,
    activity: Option<&Activity>,
) -> Admin {
    let is_in_bucket = matches!(settings.storage, Engine::S3(_) | Engine::Cloud(_));
    let tokens = access.and_then(|access| Tokens::of(Arc::clone(access)));
    Admin {
        about: About {
            version: version::VERSION,
            commit: version::COMMIT,
            build: version::BUILD,
            engine: telemetry::driver(&settings.storage),
            started: jiff::Timestamp::now(),
            replicas: is_in_bucket.then(|| Replicas::of(Arc::clone(store))),
        },
        upkeep: Upkeep::default(),
        users: settings
            .auth
            .as_ref()
            .and_then(Auth::htpasswd)
            .map(|auth| Users::in_file(&auth.path)),
        activity: settings
            .activity
            .is_some()
            .then(|| ActivityLog::of(Arc::clone(store) as Arc<dyn Objects>)),
        stored_tokens: tokens
            .clone()
            .or_else(|| Some(Tokens::in_store(Robots::new(store)))),
        tokens,
        collections: None,
        retention: Retention::default(),
        pulls: activity.map_or(PullCounts::None, |activity| {
            PullCounts::Counting(activity.pulls().clone())
        }),
        rules: access.map(|access| AccessRules::of(Arc::clone(access))),
    }
}

/// Opens the control socket, in the directory of the open store. Where the operator did not choose its path, a server without it does
/// all else: some file systems have no sockets.
pub(super) fn listen(settings: &Settings) -> anyhow::Result<Option<Listener>> {
    let Some(socket) = settings.control_socket() else {
        return Ok(None);
    };
    let owner = SocketOwner {
        group: None,
        mode: Some(MODE),
    };
    match wharf_http::bind_unix(&socket.path, &owner) {
        Ok(listener) => {
            tracing::debug!(path = %socket.path.display(), "control socket open");
            Ok(Some(listener))
        }
        Err(error) if socket.is_chosen => {
            Err(error).context("the control socket of `admin.socket` cannot be opened")
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::warn!(
                error = format!("{error:#}"),
                "there is no control socket, so commands such as `wharf user` change files without the server; \
                 `admin.socket` chooses another path for it"
            );
            Ok(None)
        }
    }
}
