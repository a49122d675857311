//! What all requests for pages share.

use std::sync::Arc;

use http::request::Parts;
use tokio::sync::Semaphore;
use wharf_http::{RequestContext, location};

use super::{cookies::Cookies, descriptions::Descriptions};
use crate::{
    api::{Api, site::Site},
    call::App,
    options::UiOptions,
    site::authority_of,
};

/// What all requests for pages share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) api: Arc<Api>,
    pub(crate) options: UiOptions,
    /// Path under which clients find the pages, without a slash at its end.
    pub(crate) root: String,
    /// Places of pages that are being written: they are few, because that is work for the processor, on threads that the store needs, too.
    pub(super) writers: Arc<Semaphore>,
    /// The descriptions of repositories that were shown.
    pub(super) descriptions: Descriptions,
}

impl Shared {
    /// `None`: the operator wants no page.
    pub(super) fn new(app: Arc<App>, api: Arc<Api>) -> Option<Self> {
        let options = app.options.ui.clone()?;
        let root = format!(
            "{}/ui",
            base_path(app.options.host.as_deref(), &app.options.prefix)
        );
        Some(Self {
            app,
            api,
            options,
            root,
            writers: Arc::new(Semaphore::new(writers())),
            descriptions: Descriptions::default(),
        })
    }

    /// Whether the browser speaks TLS, with this server or with a proxy in front of it.
    pub(super) fn is_secure(&self, context: &RequestContext, parts: &Parts) -> bool {
        let base = location::base(context.peer(), parts);
        base.is_some_and(|base| base.starts_with("https://"))
            || self
                .configured_origin(parts)
                .is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Scheme and host of this server, if the configuration has them and the request is for them.
    pub(super) fn configured_origin(&self, parts: &Parts) -> Option<&str> {
        let host = self.app.options.host.as_deref()?;
        let authority = authority_of(host)?;
        let asked = location::authority(parts)?;
        let end = host.find("://")? + "://".len() + authority.len();
        host.get(..end).filter(|_| asked.eq_ignore_ascii_case(authority))
    }

    /// The cookies of a connection.
    pub(super) fn cookies(&self, context: &RequestContext, parts: &Parts) -> Cookies {
        let path = self.root.strip_suffix("/ui").unwrap_or(&self.root);
        Cookies::new(path, self.is_secure(context, parts))
    }
}

/// The names under which clients know the server, and whether they log in.
pub(super) fn site_of(app: &App) -> Site<'_> {
    Site {
        url: app.options.host.as_deref(),
        has_users: app.services.access.is_some(),
    }
}

/// As many pages as there are processors are written at once, and two at least.
fn writers() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 8)
}

/// Path of the registry as clients see it: that of its configured URL, else the prefix.
fn base_path<'a>(host: Option<&'a str>, prefix: &'a str) -> &'a str {
    let Some(host) = host else { return prefix };
    let rest = host.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/')
        .map_or("", |slash| &rest[slash..])
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lie_where_clients_see_the_registry() {
        for (host, prefix, expected) in [
            (None, "", ""),
            (None, "/registry", "/registry"),
            (Some("https://a.example"), "/registry", ""),
            (Some("https://a.example/outside"), "/registry", "/outside"),
            (Some("https://a.example:5000/"), "", ""),
        ] {
            assert_eq!(base_path(host, prefix), expected, "{host:?} {prefix}");
        }
    }
}
