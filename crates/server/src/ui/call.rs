//! A call: one request for a page, with its client known, as handlers receive it.
//!
//! **Pages have no rights of their own.** What a handler needs it asks of the [operations of the API](crate::api), in this process and in
//! the name of the visitor ([`Call::ask`], [`Call::tell`]): the same table says which right each operation needs, the same code checks it,
//! makes the record in the activity log and bounds the work. So a page can show and do nothing that the API would refuse, and a button
//! that is hidden is hidden for convenience alone.

use bytes::Bytes;
use http::request::Parts;
use serde::{Serialize, de::DeserializeOwned};
use wharf_access::Verb;
use wharf_http::RequestContext;
use wharf_oci::RepoName;

use super::{
    cookies::{Cookie, Cookies},
    failure::Result,
    fields::{Fields, query_of},
    shared::Shared,
    visitor::Visitor,
};
use crate::api::{Errand, problem::Problem};

/// Answers with more bytes are read on a thread of their own.
const LARGE: usize = 64 << 10;

/// A request for a page.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) context: &'a RequestContext,
    pub(crate) parts: &'a Parts,
    pub(crate) visitor: &'a Visitor,
    pub(super) cookies: &'a Cookies,
    /// The entry of the navigation to which the page belongs.
    pub(super) nav: &'static str,
    /// The way back that the request names, a page of ours.
    pub(super) to: &'a str,
    /// The fields of a form that was sent in a session that had ended, in the form to sign in.
    pub(super) kept: &'a Fields,
    /// The bytes that are free in the store, if these are too few.
    pub(super) shortage: Option<u64>,
    /// Path below the root: of the page that is looked at, or of the one on which the form stands that was sent.
    pub(super) path: &'a str,
    /// Whether a form was not carried out because it was made for another session; the page shows it again.
    pub(super) is_stale: bool,
    /// What stands in the path in the place of the `{…}` of its route: a name, `NAME:TAG`, `NAME@DIGEST`, an identifier.
    pub(crate) rest: &'a str,
    /// The query of the address.
    pub(crate) query: &'a Fields,
    /// The fields of the form that was sent; none if the page is only looked at.
    pub(crate) form: &'a Fields,
}

impl Call<'_> {
    /// What an operation of the API answers to the visitor; `query` has its parameters.
    ///
    /// # Errors
    ///
    /// The problem that the API would answer.
    pub(crate) async fn ask<T: DeserializeOwned + Send + 'static>(
        self,
        id: &'static str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        self.carry_out(id, query, Bytes::new(), None).await
    }

    /// The same for an operation that takes a body.
    ///
    /// # Errors
    ///
    /// The problem that the API would answer.
    pub(crate) async fn tell<T: DeserializeOwned + Send + 'static>(
        self,
        id: &'static str,
        query: &[(&str, &str)],
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        self.tell_if(id, query, body, None).await
    }

    /// The same, if what is changed still has this version.
    ///
    /// # Errors
    ///
    /// The problem that the API would answer; that it has changed among them.
    pub(crate) async fn tell_if<T: DeserializeOwned + Send + 'static>(
        self,
        id: &'static str,
        query: &[(&str, &str)],
        body: &(impl Serialize + Sync),
        version: Option<&str>,
    ) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(Problem::failed)?;
        self.carry_out(id, query, body.into(), version).await
    }

    async fn carry_out<T: DeserializeOwned + Send + 'static>(
        self,
        id: &'static str,
        query: &[(&str, &str)],
        body: Bytes,
        version: Option<&str>,
    ) -> Result<T> {
        // What is left empty in a form was not meant.
        let query = query_of(query.iter().copied().filter(|(_, value)| !value.is_empty()));
        let errand = Errand {
            id,
            query: &query,
            body,
            version,
        };
        let client = self.visitor.principal.clone();
        let asked = self
            .shared
            .api
            .carry_out_for(client, (self.context, self.parts), errand);
        // Boxed: the future of every page should not carry the size of this one.
        let answer = Box::pin(asked).await?;
        let is_large = answer.body.len() > LARGE;
        let read = move || serde_json::from_slice(&answer.body).map_err(Problem::failed);
        let value = match is_large {
            true => tokio::task::spawn_blocking(read).await.map_err(Problem::failed)?,
            false => read(),
        };
        Ok(value?)
    }

    /// Whether pages offer changes of what is in repositories: the store can be written, and the operator lets pages change something.
    /// What the visitor has a right to comes on top.
    pub(crate) fn offers_changes(self) -> bool {
        self.offers_settings() && !self.shared.app.options.read_only
    }

    /// Whether pages offer to delete something in repositories.
    pub(crate) fn offers_deletion(self) -> bool {
        self.offers_changes() && self.shared.app.registry.options().delete_enabled
    }

    /// Whether pages offer other changes.
    pub(crate) fn offers_settings(self) -> bool {
        !self.shared.options.read_only && self.visitor.is_here
    }

    /// Whether the visitor may do something in a repository, on `tag` if one is given.
    pub(crate) fn may(self, verb: Verb, name: &RepoName, tag: Option<&str>) -> bool {
        let access = self.shared.app.services.access.as_deref();
        self.visitor.rights.on(access, name, verb, tag).is_some()
    }

    /// The URL of a page of ours.
    pub(crate) fn url(self, path: &str) -> String {
        format!("{}{path}", self.shared.root)
    }

    /// The program that the visitor has chosen for commands that are copied; empty: none.
    pub(crate) fn client(self) -> &'static str {
        let chosen = self
            .cookies
            .get(&self.parts.headers, Cookie::Client)
            .unwrap_or_default();
        let known = CLIENTS.into_iter().find(|client| *client == chosen);
        known.unwrap_or_default()
    }
}

/// The programs that pages have commands for.
pub(crate) const CLIENTS: [&str; 7] = ["docker", "podman", "nerdctl", "ctr", "skopeo", "crane", "helm"];
