//! All mirrors of a server: which of them a name belongs to, and what a client means that names a registry.

use std::sync::Arc;

use http::HeaderValue;
use uuid::Uuid;
use wharf_client::upstream::UpstreamError;
use wharf_oci::RepoName;
use wharf_registry::Registry;

use crate::{
    download::Downloads,
    mirror::{Mirror, Mirrored},
    numbers::MirrorNumbers,
    options::{MirrorOptions, Place},
};

/// How many proxies a request may have come through.
const HOPS: usize = 16;

/// All mirrors of a server.
#[derive(Debug)]
pub struct Mirrors {
    mirrors: Vec<Arc<Mirror>>,
    /// Name of this registry in `Via`.
    via: String,
}

/// What a client means by the name of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// The repository of that name.
    No,
    /// The repository of this name.
    To(RepoName),
}

/// A client asks for a registry that is not mirrored here. Only those that the configuration names are: never one that a client chooses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`?ns={namespace}` names a registry that this server does not mirror; it mirrors: {}", known.join(", ")
)]
pub struct UnknownNamespace {
    /// The registry, as the client names it.
    pub namespace: String,
    /// The registries that are mirrored.
    pub known: Vec<String>,
}

impl Mirrors {
    /// The mirrors of `registry`. No upstream is asked.
    ///
    /// # Errors
    ///
    /// When files of certificates of one of them cannot be used.
    pub fn new(registry: &Arc<Registry>, options: &[MirrorOptions]) -> Result<Self, UpstreamError> {
        let via = format!("wharf-{}", Uuid::new_v4());
        let downloads = Arc::new(Downloads::new());
        let mirror = |options: &MirrorOptions| {
            let mut options = options.clone();
            options.upstream.via.clone_from(&via);
            Mirror::new(Arc::clone(registry), options, Arc::clone(&downloads)).map(Arc::new)
        };
        Ok(Self {
            mirrors: options.iter().map(mirror).collect::<Result<_, _>>()?,
            via,
        })
    }

    /// Whether the whole registry is one mirror.
    pub fn is_whole(&self) -> bool {
        let mut mirrors = self.mirrors.iter();
        mirrors.any(|mirror| mirror.options.place == Place::Whole)
    }

    /// The repository that a client means by `name` who asked this server under the name `host`, and for the registry `namespace`
    /// (containerd's `?ns=`).
    ///
    /// # Errors
    ///
    /// [`UnknownNamespace`]; never without mirrors.
    pub fn rename(
        &self,
        host: Option<&str>,
        namespace: Option<&str>,
        name: &RepoName,
    ) -> Result<Renamed, UnknownNamespace> {
        let has = |names: &[String], wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
        let by_host = host
            .map(without_port)
            .and_then(|host| self.find(|mirror| has(&mirror.hosts, host)));
        let chosen = match (by_host, namespace.filter(|_| !self.mirrors.is_empty())) {
            (Some(mirror), _) => Some(mirror),
            (None, Some(namespace)) => {
                // This registry itself, by the name under which it was asked.
                let is_own = host.is_some_and(|host| host.eq_ignore_ascii_case(namespace));
                match self.find(|mirror| has(&mirror.namespaces, namespace)) {
                    None if !is_own => return Err(self.unknown(namespace)),
                    found => found,
                }
            }
            (None, None) => None,
        };
        let (mirror, remote) = match chosen {
            Some(mirror) => (mirror, name.as_str()),
            None => match self.place(name) {
                Some(found) => found,
                None => return Ok(Renamed::No),
            },
        };
        let remote = match mirror.options.is_docker_hub && !remote.contains('/') {
            true => format!("library/{remote}"),
            false => remote.to_owned(),
        };
        Ok(match mirror.options.place.local(&remote) {
            Some(local) if local != *name => Renamed::To(local),
            Some(_) | None => Renamed::No,
        })
    }

    /// The mirrored repository `name`; `None`: it is one of this registry's own. `via`: the headers of that name of the request.
    pub fn of<'a>(&self, name: &RepoName, via: impl Iterator<Item = &'a HeaderValue>) -> Option<Mirrored> {
        let (mirror, remote) = self.place(name)?;
        let matches = |patterns: &[wharf_pattern::Pattern]| {
            patterns.iter().any(|pattern| pattern.matches(remote, None))
        };
        let MirrorOptions { allow, deny, .. } = &mirror.options;
        let way: Vec<&str> = via
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let is_own = |hop: &&str| hop.split_whitespace().nth(1) == Some(self.via.as_str());
        Some(Mirrored {
            mirror: Arc::clone(mirror),
            name: name.clone(),
            remote: remote.to_owned(),
            is_allowed: (allow.is_empty() || matches(allow)) && !matches(deny),
            is_loop: way.len() > HOPS || way.iter().any(is_own),
            via: self.onwards(&way),
        })
    }

    /// Whether `name` belongs to a mirror.
    pub fn includes(&self, name: &RepoName) -> bool {
        self.place(name).is_some()
    }

    /// The numbers of each mirror.
    pub fn numbers(&self) -> Vec<MirrorNumbers> {
        self.mirrors.iter().map(|mirror| mirror.numbers()).collect()
    }

    fn place<'a>(&self, name: &'a RepoName) -> Option<(&Arc<Mirror>, &'a str)> {
        let mut mirrors = self.mirrors.iter();
        mirrors.find_map(|mirror| Some((mirror, mirror.options.place.remote(name)?)))
    }

    fn find(&self, is_wanted: impl Fn(&MirrorOptions) -> bool) -> Option<&Arc<Mirror>> {
        self.mirrors.iter().find(|mirror| is_wanted(&mirror.options))
    }

    fn unknown(&self, namespace: &str) -> UnknownNamespace {
        let known = self.mirrors.iter().flat_map(|mirror| &mirror.options.namespaces);
        UnknownNamespace {
            namespace: namespace
                .chars()
                .take(100)
                .collect::<String>()
                .escape_debug()
                .to_string(),
            known: known.map(|name| format!("`{name}`")).collect(),
        }
    }

    /// `Via` of a request that is passed on (RFC 9110, section 7.6.3); `None`: it came through no proxy.
    fn onwards(&self, way: &[&str]) -> Option<HeaderValue> {
        let way = way.iter().map(|hop| hop.trim()).filter(|hop| !hop.is_empty());
        let way: Vec<&str> = way.collect();
        let text = format!("{}, 1.1 {}", way.join(", "), self.via);
        HeaderValue::try_from(text).ok().filter(|_| !way.is_empty())
    }
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
