//! What administrators may see and change, and the control socket.

use std::sync::Arc;

use anyhow::Context as _;
use uuid::Uuid;
use wharf_access::{Access, robot::Robots};
use wharf_activity::Activity;
use wharf_budget::Budget;
use wharf_http::{Listener, SocketOwner};
use wharf_server::admin::{
    About, AccessRules, ActivityLog, Admin, LayerFiles, PullCounts, Replicas, Retention, Tokens, Upkeep,
    Users, wire,
};
use wharf_storage::{Objects, Storage};
use wharf_workers::Supervisor;

use super::telemetry;
use crate::{
    config::{Auth, Origin, Settings},
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
    (budget, supervisor): (&Budget, &Supervisor),
    replica: Option<Uuid>,
) -> Admin {
    let tokens = access.and_then(|access| Tokens::of(Arc::clone(access)));
    Admin {
        about: About {
            version: version::VERSION,
            commit: version::COMMIT,
            build: version::BUILD,
            engine: telemetry::driver(&settings.storage),
            started: jiff::Timestamp::now(),
            replicas: replica.map(|own| Replicas::of(Arc::clone(store), own)),
            workers: supervisor.clone(),
        },
        configuration: Arc::new(configuration(settings)),
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
        checks: None,
        retention: Retention::default(),
        files: LayerFiles::of(budget),
        pulls: activity.map_or(PullCounts::None, |activity| {
            PullCounts::Counting(activity.pulls().clone())
        }),
        rules: access.map(|access| AccessRules::of(Arc::clone(access))),
    }
}

/// The configuration as it counts.
fn configuration(settings: &Settings) -> wire::ServerConfiguration {
    let shown = settings.shown.iter().map(|setting| wire::Setting {
        key: setting.key.clone(),
        value: setting.value.clone(),
        secret: setting.is_secret,
        origin: match setting.origin {
            Origin::Default => "default",
            Origin::File => "file",
            Origin::Environment => "environment",
        }
        .to_owned(),
        place: setting.place.clone(),
    });
    wire::ServerConfiguration {
        file: settings
            .source
            .as_ref()
            .map(|source| source.path.display().to_string()),
        warnings: settings.warnings.clone(),
        settings: shown.collect(),
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
