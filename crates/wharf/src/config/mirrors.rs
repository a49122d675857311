//! `mirrors`: the parts of this registry whose content comes from other registries.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use wharf_client::{
    Credentials,
    upstream::{UpstreamLogin, UpstreamOptions, Url},
};
use wharf_document::words::cut;
use wharf_mirror::{MirrorOptions, Place};
use wharf_oci::RepoName;
use wharf_pattern::Pattern;
use wharf_registry::{SparseNames, retention::repository_pattern};

use super::{
    keys::{Default, Key, List, Positive, Secret, Since, keys},
    section::Section,
    upstream::{self, LoginKeys, OwnAddresses},
};

keys! {
    pub(super) MIRRORS: List = Key::sections("mirrors")
        .help("Registries whose repositories are served here as well, downloaded when they are first asked for; see [mirror](mirror.md)")
        .since(Since::Ours);
    PREFIX: Option<String> = Key::new("mirrors[].prefix")
        .help("What stands before the names of these repositories here, such as `docker.io`")
        .since(Since::Ours);
    REMOTE_URL: Option<String> = Key::new("mirrors[].remoteurl")
        .help("URL of the registry, the upstream, such as `https://registry-1.docker.io`")
        .since(Since::Ours);
    NAMESPACES: Vec<String> = Key::list("mirrors[].namespaces")
        .default_in_words("the prefix, and the host of `remoteurl`; `docker.io` for Docker Hub")
        .help("Registries for which clients ask this mirror by `?ns=`, as containerd and buildkit do")
        .since(Since::Ours);
    HOSTS: Vec<String> = Key::list("mirrors[].hosts")
        .help("Names of this server under which it is this mirror alone, without the prefix: for docker's `registry-mirrors`")
        .since(Since::Ours);
    USER: Option<String> = Key::new("mirrors[].username")
        .help("Account at the upstream; without one it is asked anonymously")
        .since(Since::Ours);
    PASSWORD: Option<Secret> = Key::new("mirrors[].password")
        .help("Password or access token of that account")
        .since(Since::Ours);
    COMMAND: Option<String> = Key::new("mirrors[].exec.command")
        .help("Program that answers with the credentials, as docker's `docker-credential-…` do: its path, or its name in `PATH`")
        .since(Since::Ours);
    LIFETIME: Option<Duration> = Key::new("mirrors[].exec.lifetime")
        .shown_default(Default::Words("as long as the server runs"))
        .help("Time for which its answer is used; `0`: for one login")
        .since(Since::Ours);
    DOCKER_CONFIG: Option<String> = Key::new("mirrors[].dockerconfig")
        .help("Directory with docker's `config.json`, whose `auths`, `credHelpers` and `credsStore` have the credentials")
        .since(Since::Ours);
    AUTHORITIES: Vec<String> = Key::list("mirrors[].authorities")
        .help("PEM files of CA certificates to trust beside the system's")
        .since(Since::Ours);
    CERTIFICATE: Option<String> = Key::new("mirrors[].certificate")
        .help("PEM file of the certificate by which the upstream knows this server")
        .since(Since::Ours);
    KEY: Option<String> = Key::new("mirrors[].key")
        .help("PEM file of that certificate's private key")
        .since(Since::Ours);
    IS_INSECURE: bool = Key::new("mirrors[].insecure")
        .default("false")
        .help("Accept any certificate of the upstream")
        .since(Since::Ours);
    HTTP_PROXY: Option<String> = Key::new("mirrors[].httpproxy")
        .shown_default(Default::Words("`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment"))
        .help("URL of a proxy for all requests to the upstream, such as `http://proxy:3128`")
        .since(Since::Ours);
    REALMS: Vec<String> = Key::list("mirrors[].realms")
        .help("Further hosts that may get the credentials as token servers, beside those of the upstream's own domain")
        .since(Since::Ours);
    ALLOW: Vec<String> = Key::list("mirrors[].allow")
        .default_in_words("every repository")
        .help("Repositories that are mirrored, by their names at the upstream: names, patterns such as `library/*`, or `re:…`")
        .since(Since::Ours);
    DENY: Vec<String> = Key::list("mirrors[].deny")
        .help("Repositories that are not mirrored, also if `allow` has them")
        .since(Since::Ours);
    FRESH: Duration = Key::new("mirrors[].fresh")
        .default("1m")
        .help("Time for which the upstream is not asked again where a tag points; `0`: it is asked each time")
        .since(Since::Ours);
    STALE: Duration = Key::new("mirrors[].stale")
        .default("0")
        .help("Longest time for which a stored tag is served while the upstream fails; `0`: without a limit")
        .since(Since::Ours);
    TIMEOUT: Positive<Duration> = Key::new("mirrors[].timeout")
        .default("30s")
        .help("Longest time until the upstream begins its answer")
        .since(Since::Ours);
    IS_OFFLINE: bool = Key::new("mirrors[].offline")
        .default("false")
        .help("Serve what is stored, and never ask the upstream")
        .since(Since::Ours);
}

/// The name that clients have for Docker Hub.
pub(super) const DOCKER_IO: &str = "docker.io";

const LOGIN: LoginKeys = LoginKeys {
    user: USER,
    password: PASSWORD,
    command: COMMAND,
    lifetime: LIFETIME,
};

/// What mirrors share with nothing else, as it is written.
struct Mirror<'a> {
    section: Section<'a>,
    prefix: Option<RepoName>,
    url: Option<Url>,
    /// `None`: the key is absent.
    namespaces: Option<Vec<String>>,
    hosts: Vec<String>,
}

/// Reads the mirrors. Those with a problem are left out. `is_read_only`: nothing may be stored.
pub(super) fn read(root: &Section<'_>, own: &OwnAddresses, is_read_only: bool) -> Vec<MirrorOptions> {
    let elements = root.elements(MIRRORS).into_iter();
    if is_read_only && elements.clone().any(|section| !section.get(IS_OFFLINE)) {
        root.problem(
            MIRRORS,
            "needs a store that it may write to; remove `storage.maintenance.readonly`, which mirrors do not need to refuse pushes, or set \
             `offline: true` for each mirror",
        );
    }
    let mirrors: Vec<Mirror<'_>> = elements.map(|section| Mirror::read(section, own)).collect();
    check_prefixes(&mirrors);
    let hosts = mirrors.iter().map(|mirror| (mirror, &mirror.hosts[..]));
    check_unique(HOSTS, hosts);
    let chosen = mirrors
        .iter()
        .map(|mirror| (mirror, mirror.namespaces.as_deref().unwrap_or_default()));
    check_unique(NAMESPACES, chosen);
    let namespaces = namespaces(&mirrors);
    let options = mirrors.iter().zip(namespaces);
    options
        .filter_map(|(mirror, namespaces)| mirror.options(namespaces))
        .collect()
}

/// The repositories that are mirrored: their manifests may name what was not downloaded.
pub(super) fn sparse(mirrors: &[MirrorOptions]) -> SparseNames {
    let is_whole = |mirror: &MirrorOptions| matches!(mirror.place, Place::Whole);
    if mirrors.iter().any(is_whole) {
        return SparseNames::all();
    }
    SparseNames::below(mirrors.iter().filter_map(|mirror| match &mirror.place {
        Place::Below(prefix) => Some(prefix.clone()),
        Place::Whole => None,
    }))
}

/// Host of a URL, with its port if that is not the one of its scheme.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl<'a> Mirror<'a> {
    fn read(section: Section<'a>, own: &OwnAddresses) -> Self {
        if section.get(REMOTE_URL).is_none() {
            section.problem(
                REMOTE_URL,
                "is missing; it is the URL of the registry to mirror, such as `https://registry-1.docker.io`",
            );
        }
        let hosts = hosts(&section, HOSTS);
        if let Some(host) = own
            .host()
            .filter(|own| hosts.iter().any(|host| without_port(host) == *own))
        {
            let text = format!(
                "has `{host}`, the name of this server in `http.host`, under which no other repository could be reached then; give the mirror a \
                 name of its own, or use `proxy`, with which the whole registry is one mirror"
            );
            section.problem(HOSTS, &text);
        }
        for host in hosts.iter().filter(|host| without_port(host) != host.as_str()) {
            let text = format!(
                "has `{host}` with a port; the mirror has the name at every port of this server, so write `{}`",
                without_port(host)
            );
            section.problem(HOSTS, &text);
        }
        Self {
            prefix: prefix(&section),
            url: upstream::url(&section, REMOTE_URL, own),
            namespaces: section
                .is_set(NAMESPACES)
                .then(|| self::hosts(&section, NAMESPACES)),
            hosts,
            section,
        }
    }

    /// The options. `None`: a problem has been reported.
    fn options(&self, namespaces: Vec<String>) -> Option<MirrorOptions> {
        let section = &self.section;
        let login = self.login();
        let (fresh, stale) = (section.get(FRESH), section.get(STALE));
        if !stale.is_zero() && fresh > stale {
            section.problem(
                STALE,
                "is shorter than `fresh`: a tag could not be served any more while the upstream need not be asked yet; make it longer, or `0` for no \
                 limit",
            );
        }
        let upstream = self.url.clone().map(|url| {
            upstream::warn_of_clear_text(section, REMOTE_URL, &url, &login);
            let is_insecure = section.get(IS_INSECURE);
            if is_insecure && url.scheme() == "http" {
                section.warning(IS_INSECURE, "has no effect: `remoteurl` begins with `http://`");
            }
            UpstreamOptions {
                insecure: is_insecure,
                ..UpstreamOptions::new(url, String::new())
            }
        });
        let identity = self.identity();
        let http_proxy = http_proxy(section);
        let realms = hosts(section, REALMS);
        let (allow, deny) = (patterns(section, ALLOW), patterns(section, DENY));
        let upstream = upstream?;
        Some(MirrorOptions {
            place: Place::Below(self.prefix.clone()?),
            is_docker_hub: upstream::is_docker_hub(&upstream.url),
            upstream: UpstreamOptions {
                login,
                authorities: section.get(AUTHORITIES).into_iter().map(PathBuf::from).collect(),
                identity,
                http_proxy,
                realms,
                timeout: section.get(TIMEOUT).0,
                ..upstream
            },
            namespaces,
            hosts: self.hosts.clone(),
            allow,
            deny,
            fresh,
            stale: (!stale.is_zero()).then_some(stale),
            is_offline: section.get(IS_OFFLINE),
            keeps_gone: false,
        })
    }

    /// The credentials: a user, a program, or a configuration of docker.
    fn login(&self) -> UpstreamLogin {
        let section = &self.section;
        let login = upstream::login(section, &LOGIN);
        let Some(directory) = section.get(DOCKER_CONFIG) else {
            return login;
        };
        if login != UpstreamLogin::Anonymous {
            section.problem(
                DOCKER_CONFIG,
                "and `username` or `exec` both say which credentials the upstream gets; remove one of them",
            );
        }
        UpstreamLogin::Stored(Credentials {
            given: None,
            directory: Some(directory.into()),
        })
    }

    fn identity(&self) -> Option<(PathBuf, PathBuf)> {
        let section = &self.section;
        match (section.get(CERTIFICATE), section.get(KEY)) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (Some(_), None) => {
                section.problem(
                    KEY,
                    "is missing; it is the file of the private key of `certificate`",
                );
                None
            }
            (None, Some(_)) => {
                section.problem(
                    CERTIFICATE,
                    "is missing; it is the file of the certificate of `key`",
                );
                None
            }
            (None, None) => None,
        }
    }
}

fn prefix(section: &Section<'_>) -> Option<RepoName> {
    let Some(text) = section.get(PREFIX) else {
        section.problem(
            PREFIX,
            "is missing; it is what stands before the names of the mirrored repositories here, such as `docker.io`. To make the whole registry one \
             mirror, use `proxy`",
        );
        return None;
    };
    match text.parse() {
        Ok(prefix) => Some(prefix),
        Err(error) => {
            let text = format!(
                "must begin names of repositories, and `{}` cannot: {error}",
                cut(&text)
            );
            section.problem(PREFIX, &text);
            None
        }
    }
}

/// Reports prefixes that are equal, or one below another: a name belongs to one mirror.
fn check_prefixes(mirrors: &[Mirror<'_>]) {
    let named = |mirror: &Mirror<'_>| mirror.prefix.as_ref().map(RepoName::to_string);
    for (index, mirror) in mirrors.iter().enumerate() {
        let Some(prefix) = named(mirror) else { continue };
        for (number, other) in mirrors.iter().enumerate().filter(|(number, _)| *number != index) {
            let Some(other) = named(other) else { continue };
            if other == prefix && number < index {
                let text = format!(
                    "is `{prefix}` like that of `mirrors[{number}]`; give each mirror a prefix of its own"
                );
                mirror.section.problem(PREFIX, &text);
            } else if prefix
                .strip_prefix(&other)
                .is_some_and(|rest| rest.starts_with('/'))
            {
                let text = format!(
                    "is `{prefix}`, which lies below `{other}`, the prefix of `mirrors[{number}]`; a repository belongs to one mirror"
                );
                mirror.section.problem(PREFIX, &text);
            }
        }
    }
}

/// Reports names that two mirrors have.
fn check_unique<'a>(key: Key<Vec<String>>, mirrors: impl Iterator<Item = (&'a Mirror<'a>, &'a [String])>) {
    let mut taken = BTreeMap::new();
    for (index, (mirror, names)) in mirrors.enumerate() {
        for name in names {
            match taken.insert(name, index) {
                Some(other) if other != index => {
                    let text = format!(
                        "has `{name}`, and so has `mirrors[{other}]`; a request under this name can be for one mirror only"
                    );
                    mirror.section.problem(key, &text);
                }
                Some(_) | None => {}
            }
        }
    }
}

/// The namespaces of each mirror. Without the key these are its prefix and the host of its upstream, as far as no other mirror has a better claim.
fn namespaces(mirrors: &[Mirror<'_>]) -> Vec<Vec<String>> {
    let chosen: Vec<&String> = mirrors
        .iter()
        .filter_map(|mirror| mirror.namespaces.as_ref())
        .flatten()
        .collect();
    let prefix_of = |mirror: &Mirror<'_>| {
        let prefix = mirror
            .prefix
            .as_ref()
            .filter(|_| mirror.namespaces.is_none())?
            .to_string();
        (!prefix.contains('/') && !chosen.contains(&&prefix)).then_some(prefix)
    };
    let prefixes: Vec<Option<String>> = mirrors.iter().map(prefix_of).collect();
    let hosts_of = |mirror: &Mirror<'_>| {
        let url = mirror.url.as_ref().filter(|_| mirror.namespaces.is_none());
        let names = url.into_iter().flat_map(|url| {
            let docker_io = upstream::is_docker_hub(url).then(|| DOCKER_IO.to_owned());
            [Some(authority(url)), docker_io].into_iter().flatten()
        });
        let is_free = |name: &String| {
            !chosen.contains(&name) && !prefixes.iter().flatten().any(|prefix| prefix == name)
        };
        names.filter(is_free).collect::<Vec<_>>()
    };
    let hosts: Vec<Vec<String>> = mirrors.iter().map(hosts_of).collect();
    let all = mirrors.iter().zip(&prefixes).enumerate();
    all.map(|(index, (mirror, prefix))| {
        if let Some(chosen) = &mirror.namespaces {
            return chosen.clone();
        }
        // Of two mirrors of one host, `?ns=` cannot mean either.
        let others = || hosts.iter().enumerate().filter(move |(other, _)| *other != index);
        let is_alone = |name: &&String| !others().any(|(_, names)| names.contains(name));
        let hosts = hosts.get(index).into_iter().flatten().filter(is_alone);
        prefix.iter().chain(hosts).cloned().collect()
    })
    .collect()
}

/// The hosts at `key`, in lower case, each with or without a port.
pub(super) fn hosts(section: &Section<'_>, key: Key<Vec<String>>) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in section.get(key) {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_host) {
            let text = format!(
                "must have names of hosts, such as `registry.example.com` or `localhost:5000`, and `{}` is none: write no scheme and no path",
                wharf_http::redact::configured(&cut(&text), "********")
            );
            section.problem(key, &text);
            continue;
        }
        let host = text.to_ascii_lowercase();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Reads the proxy. Its user and password belong into its URL, as they do in the environment, so they are in no message.
fn http_proxy(section: &Section<'_>) -> Option<Url> {
    let text = section.get(HTTP_PROXY)?;
    let url = text.trim().parse::<Url>().ok();
    let url =
        url.filter(|url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host());
    if url.is_none() {
        section.problem(
            HTTP_PROXY,
            "must be the URL of a proxy, such as `http://proxy:3128` or `socks5://proxy:1080`",
        );
    }
    url
}

fn patterns(section: &Section<'_>, key: Key<Vec<String>>) -> Vec<Pattern> {
    let read = |text: &String| {
        let pattern = repository_pattern(text)?;
        match text.contains("${") && !text.starts_with("re:") {
            true => Err("what is mirrored does not depend on the account of the client".to_owned()),
            false => Ok(pattern),
        }
    };
    let patterns = section.get(key).into_iter().filter_map(|text| match read(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let text = format!("has the pattern `{}`, which cannot be used: {error}", cut(&text));
            section.problem(key, &text);
            None
        }
    });
    patterns.collect()
}
