//! A call: one request, with caller, rights, query and body checked, as handlers receive it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use wharf_access::{Access, htpasswd::Version, sessions::Sessions};
use wharf_budget::Permit;
use wharf_registry::{Origin, Registry};

use super::{
    caller::Caller,
    json,
    problem::{Kind, Problem, Result},
    query::Query,
};
use crate::{admin::Admin, health::Health, rights::Rights};

/// What the calls of one server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) admin: Admin,
    /// Decides what clients may do; `None`: they do not log in.
    pub(crate) access: Option<Arc<Access>>,
    /// The browsers that are signed in; `None`: none can sign in.
    pub(crate) sessions: Option<Sessions>,
    /// The health checks; `None`: there are none.
    pub(crate) health: Option<Arc<Health>>,
    /// The OpenAPI document.
    pub(crate) document: Bytes,
    /// Held by the change of a password file: its hash takes long, and one at a time is enough.
    pub(crate) changing_users: tokio::sync::Mutex<()>,
    /// Held by a reader of the activity log: to parse it takes long, and one at a time is enough.
    pub(crate) reading_activity: tokio::sync::Mutex<()>,
}

/// A request. It owns all its parts, so that a change goes on when its client disconnects.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) caller: Caller,
    /// What the caller may do in the repository that the operation is about.
    pub(crate) rights: Rights,
    pub(crate) registry: Arc<Registry>,
    /// The origin of the request, for events.
    pub(crate) origin: Arc<Origin>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) body: Bytes,
    /// The permits for the body and the work.
    pub(crate) _charge: Vec<Permit>,
}

impl Call {
    /// The body as a `T`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::read(&self.body)
    }

    /// The version that `If-Match` names: the change is only made to that one. `None`: it is made to any.
    pub(crate) fn expected_version(&self) -> Result<Option<Version>> {
        let mut values = self.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default().trim();
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (text, quoted, values.next()) {
            ("*", _, None) => Ok(None),
            (_, Some(version), None) if !version.contains('"') => Ok(Some(Version::named(version))),
            _ => {
                let text = "`If-Match` takes one entity tag here, as `ETag` gives it: `If-Match: \"…\"`";
                Err(Problem::new(Kind::BadHeader, text))
            }
        }
    }
}
