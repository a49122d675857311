//! What happened, in memory: borrowed from a request, and kept until it is written.

use std::{net::IpAddr, time::SystemTime};

use jiff::Timestamp;
use uuid::Uuid;
use wharf_budget::Permit;
use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::CallerFacts;

use crate::entry::{Action, Actor, Entry, Outcome, Request, Target, cut, id, text};

/// Limits of texts that clients choose, in bytes.
const ACCOUNT: usize = 128;
const CLIENT: usize = 256;
const DETAIL: usize = 256;
const MEDIA_TYPE: usize = 128;

/// What makes two happenings one entry: all that is known of them but their time, their request, and what follows from
/// the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sighting<'a> {
    pub(crate) action: Action,
    pub(crate) account: Option<&'a str>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) client: &'a str,
    pub(crate) repository: Option<&'a RepoName>,
    pub(crate) tag: Option<&'a Tag>,
    pub(crate) digest: Option<&'a Digest>,
    pub(crate) detail: Option<&'a str>,
}

/// What happened, once or several times.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) action: Action,
    pub(crate) result: Outcome,
    account: Option<Box<str>>,
    address: Option<IpAddr>,
    client: Box<str>,
    pub(crate) repository: Option<RepoName>,
    pub(crate) tag: Option<Tag>,
    pub(crate) digest: Option<Digest>,
    detail: Option<Box<str>>,
    request: Option<Uuid>,
    pub(crate) from_repository: Option<RepoName>,
    pub(crate) media_type: Option<Box<str>>,
    pub(crate) size: Option<u64>,
    pub(crate) first: SystemTime,
    pub(crate) last: SystemTime,
    pub(crate) count: u64,
    /// The room that it takes.
    pub(crate) permit: Option<Permit>,
}

impl<'a> Sighting<'a> {
    /// `action` by `caller`, of nothing yet.
    pub(crate) fn by(action: Action, caller: &CallerFacts<'a>) -> Self {
        Self {
            action,
            account: caller.actor,
            address: caller.address,
            client: caller.user_agent,
            repository: None,
            tag: None,
            digest: None,
            detail: None,
        }
    }

    /// The same with texts that are as short as those of a record.
    pub(crate) fn bounded(self) -> Self {
        Self {
            account: self.account.map(|text| cut(text, ACCOUNT)),
            client: cut(self.client, CLIENT),
            detail: self.detail.map(|text| cut(text, DETAIL)),
            ..self
        }
    }

    /// The record of what happens now.
    pub(crate) fn record(self, request: Option<Uuid>) -> Record {
        let this = self.bounded();
        let now = SystemTime::now();
        Record {
            action: this.action,
            result: match this.action {
                Action::LoginFailure => Outcome::Denied,
                _ => Outcome::Ok,
            },
            account: this.account.map(Into::into),
            address: this.address,
            client: this.client.into(),
            repository: this.repository.cloned(),
            tag: this.tag.cloned(),
            digest: this.digest.copied(),
            detail: this.detail.map(Into::into),
            request,
            from_repository: None,
            media_type: None,
            size: None,
            first: now,
            last: now,
            count: 1,
            permit: None,
        }
    }
}

impl Record {
    /// The record of `count` happenings of which nothing else is known.
    pub(crate) fn of_unrecorded(action: Action, count: u64) -> Self {
        let nothing = Sighting::by(action, &CallerFacts::default());
        Self {
            result: Outcome::Unrecorded,
            count,
            ..nothing.record(None)
        }
    }

    pub(crate) fn set_media_type(&mut self, media_type: &str) {
        self.media_type = Some(cut(media_type, MEDIA_TYPE).into());
    }

    /// What another happening must be equal to, to be counted here.
    pub(crate) fn sighting(&self) -> Sighting<'_> {
        Sighting {
            action: self.action,
            account: self.account.as_deref(),
            address: self.address,
            client: &self.client,
            repository: self.repository.as_ref(),
            tag: self.tag.as_ref(),
            digest: self.digest.as_ref(),
            detail: self.detail.as_deref(),
        }
    }

    /// Bytes of memory that the record takes, about; never less than of its line.
    pub(crate) fn weight(&self) -> usize {
        let length = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let name = |name: &Option<RepoName>| name.as_ref().map_or(0, |name| name.as_str().len());
        size_of::<Self>()
            + length(&self.account)
            + self.client.len()
            + length(&self.detail)
            + length(&self.media_type)
            + name(&self.repository)
            + name(&self.from_repository)
            + self.tag.as_ref().map_or(0, |tag| tag.as_str().len())
    }

    /// The entry for the log.
    pub(crate) fn into_entry(self) -> Entry {
        let time = |time: SystemTime| Timestamp::try_from(time).unwrap_or_default();
        let is_several = self.count > 1 && self.last > self.first;
        Entry {
            timestamp: time(self.first),
            until: is_several.then(|| time(self.last)),
            action: self.action,
            count: self.count,
            result: self.result,
            detail: self.detail,
            target: Target {
                media_type: self.media_type,
                size: self.size,
                digest: self.digest.map(text),
                repository: self.repository.map(text),
                from_repository: self.from_repository.map(text),
                tag: self.tag.map(text),
            },
            request: Request {
                id: self.request.map(id),
                addr: self.address.map(text),
                user_agent: (!self.client.is_empty()).then_some(self.client),
            },
            actor: Actor { name: self.account },
        }
    }
}
