//! Finds the configuration, and reads what each key means.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use wharf_server::{Limits, ServerOptions};

use super::{
    Config, Log, LogFormat, Purge, Storage, environment,
    raw::{Document, Section},
};

const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";

/// Without any configuration: beside where one stands.
const DEFAULT_ROOT: &str = "./data";

/// Of `storage.filesystem` without a directory, as registry:2 has it.
const REGISTRY_2_ROOT: &str = "/var/lib/registry";

/// Where the images of registry:2 and registry:3 keep theirs.
const PLACES: [&str; 2] = ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"];

/// Reads the file that `argument` names, or the first of the usual ones, and the environment over it.
pub(crate) fn load(argument: Option<&Path>) -> anyhow::Result<Config> {
    let (source, root) = match find(argument) {
        Some((path, must_exist)) => match read(&path) {
            Ok(text) => {
                let root = Document::parse(&text)
                    .map_err(anyhow::Error::msg)
                    .with_context(|| format!("cannot read the configuration `{}`", path.display()))?;
                (Some(path), root)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
                (None, Default::default())
            }
            Err(error) => bail!("cannot read the configuration `{}`: {error}", path.display()),
        },
        None => (None, Default::default()),
    };
    let document = Document {
        root,
        ..Document::default()
    };
    // A variable that is no UTF-8 cannot name a key of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    understand(document, source, variables)
}

/// The file, and whether its absence is an error.
fn find(argument: Option<&Path>) -> Option<(PathBuf, bool)> {
    if let Some(path) = argument {
        return Some((path.to_owned(), true));
    }
    if let Some(path) = std::env::var_os(environment::CONFIGURATION_PATH).filter(|path| !path.is_empty()) {
        return Some((path.into(), true));
    }
    PLACES
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .map(|path| (path.to_owned(), false))
}

#[expect(clippy::disallowed_methods, reason = "the configuration is not in the store")]
fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

fn understand(
    mut document: Document,
    source: Option<PathBuf>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Config> {
    // An empty file, such as `/dev/null`, says nothing, like no file.
    let has_file = source.is_some() && !document.root.is_empty();
    let mut problems = environment::apply(&mut document, variables);
    let (report, root) = document.into_report();
    let mut root = Section::root(root, &report);
    version(&mut root, has_file);
    let log = log(&mut root);
    let mut storage = root.section_or_name("storage");
    let delete_enabled = delete_enabled(&mut storage);
    let purge = maintenance(&mut storage);
    let engine = engine(storage, has_file);
    let (address, mut server) = http(root.section("http"));
    (server.catalog_page, server.catalog_limit) = catalog(&mut root, &mut server);
    if let Some(most) = positive(&mut root.section("tags"), "maxtags") {
        server.tags_limit = most;
    }
    let mut registry = wharf_registry::Options::default();
    validation(root.section("validation"), &mut registry);
    compatibility(root.section("compat"), &mut registry, &mut server);
    refuse_what_protects(&mut root);
    root.ignore(&["reporting", "compatibility"]);
    root.finish();

    let report = report.into_inner();
    problems.extend(report.problems);
    if !problems.is_empty() {
        bail!(complaint(source.as_deref(), &problems));
    }
    Ok(Config {
        source,
        warnings: report.warnings,
        log,
        storage: engine.unwrap_or(Storage::InMemory),
        address,
        delete_enabled,
        purge,
        registry,
        server,
    })
}

fn complaint(source: Option<&Path>, problems: &[String]) -> String {
    let mut text = match source {
        Some(path) => format!("the configuration `{}` cannot be used:", path.display()),
        None => "the configuration in the environment cannot be used:".to_owned(),
    };
    for problem in problems {
        _ = write!(text, "\n  - {problem}");
    }
    if source.is_some_and(|path| PLACES.iter().any(|place| Path::new(place) == path)) {
        text.push_str("\nhint: `wharf serve /dev/null` starts without that file");
    }
    text
}

fn version(root: &mut Section<'_>, has_file: bool) {
    match root.string("version").as_deref() {
        Some("0.1") => {}
        None if !has_file => {}
        Some(other) => root.problem(
            "version",
            &format!("must be `0.1`, not `{}`", other.escape_debug()),
        ),
        None => root.problem(
            "version",
            "is missing; the first line of a configuration is `version: 0.1`",
        ),
    }
}

fn log(root: &mut Section<'_>) -> Log {
    let deprecated = root.string("loglevel");
    let mut log = root.section("log");
    let level = match log
        .string("level")
        .or(deprecated)
        .map(|level| level.to_ascii_lowercase())
        .as_deref()
    {
        None | Some("info") => tracing::Level::INFO,
        Some("debug") => tracing::Level::DEBUG,
        Some("warn") => tracing::Level::WARN,
        Some("error") => tracing::Level::ERROR,
        Some(other) => {
            log.problem(
                "level",
                &format!("must be `error`, `warn`, `info` or `debug`, not `{other}`"),
            );
            tracing::Level::INFO
        }
    };
    let format = match log.string("formatter").as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some("logstash") => {
            log.warning("formatter", "`logstash` is not supported yet; `json` is used");
            LogFormat::Json
        }
        Some(other) => {
            log.problem("formatter", &format!("must be `text` or `json`, not `{other}`"));
            LogFormat::Text
        }
    };
    let mut access_log = log.section("accesslog");
    let is_disabled = access_log.boolean("disabled").unwrap_or(false);
    access_log.finish();
    log.ignore(&["reportcaller"]);
    log.finish();
    Log {
        level,
        format,
        access_log: !is_disabled,
    }
}

fn delete_enabled(storage: &mut Section<'_>) -> Option<bool> {
    let mut delete = storage.section("delete");
    let is_enabled = delete.boolean("enabled");
    delete.finish();
    is_enabled
}

fn maintenance(storage: &mut Section<'_>) -> Option<Purge> {
    const HOUR: Duration = Duration::from_secs(3600);

    let mut maintenance = storage.section("maintenance");
    let mut read_only = maintenance.section("readonly");
    if read_only.boolean("enabled") == Some(true) {
        read_only.problem(
            "enabled",
            "is not supported yet, and this server would accept pushes; take it out to start anyway",
        );
    }
    read_only.finish();
    let mut purging = maintenance.section("uploadpurging");
    let is_enabled = purging.boolean("enabled").unwrap_or(true);
    let is_dry = purging.boolean("dryrun").unwrap_or(false);
    let purge = Purge {
        age: purging.duration("age").unwrap_or(168 * HOUR),
        interval: purging
            .duration("interval")
            .unwrap_or(24 * HOUR)
            .max(Duration::from_secs(60)),
    };
    if is_dry && is_enabled {
        purging.warning(
            "dryrun",
            "means here that unfinished uploads are kept; what would go is not listed yet",
        );
    }
    purging.finish();
    maintenance.finish();
    (is_enabled && !is_dry).then_some(purge)
}

/// The one section of `storage` that names where the data lies.
fn engine(mut storage: Section<'_>, has_file: bool) -> Option<Storage> {
    // We keep our own caches, never redirect, and bound our threads ourselves.
    storage.ignore(&["cache", "redirect", "tag"]);
    let mut engines = Vec::new();
    if storage.has("inmemory") {
        storage.ignore(&["inmemory"]);
        engines.push(Storage::InMemory);
    }
    if storage.has("filesystem") {
        let mut filesystem = storage.section("filesystem");
        let root = filesystem
            .string("rootdirectory")
            .unwrap_or_else(|| REGISTRY_2_ROOT.to_owned());
        filesystem.ignore(&["maxthreads"]);
        filesystem.finish();
        engines.push(Storage::Filesystem { root: root.into() });
    }
    for name in storage.names() {
        let is_engine = matches!(
            &*name,
            "s3" | "s3aws" | "azure" | "gcs" | "oss" | "swift" | "rados"
        );
        if is_engine {
            storage.refuse(
                &name,
                "is not supported yet; use `storage.filesystem`, or stay with registry:2 for now",
            );
            // What is wrong has been said; no other engine is missed.
            engines.push(Storage::InMemory);
        }
    }
    if engines.len() > 1 {
        storage.problem("storage", "must name one place for the data, not several");
    }
    let engine = engines.pop();
    if engine.is_none() && has_file {
        storage.problem("filesystem", "is missing; say where the data lies: `storage: {filesystem: {rootdirectory: /var/lib/registry}}`");
    }
    storage.finish();
    engine.or_else(|| {
        (!has_file).then(|| Storage::Filesystem {
            root: DEFAULT_ROOT.into(),
        })
    })
}

fn http(mut http: Section<'_>) -> (String, ServerOptions) {
    let mut options = ServerOptions::default();
    let address = http.string("addr").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    options.host = http.string("host").filter(|host| !host.is_empty());
    if let Some(host) = &mut options.host {
        if !(host.starts_with("http://") || host.starts_with("https://")) {
            http.problem("host", "must be a URL such as `https://registry.example.com`");
        }
        host.truncate(host.trim_end_matches('/').len());
    }
    options.relative_urls = http.boolean("relativeurls").unwrap_or(false);
    options.limits = limits(&mut http);
    options.headers = headers(http.section("headers"));
    match http.string("net").as_deref() {
        None | Some("tcp" | "") => {}
        Some(other) => http.problem("net", &format!("`{other}` is not supported yet; only `tcp` is")),
    }
    if http
        .string("prefix")
        .is_some_and(|prefix| !matches!(&*prefix, "" | "/"))
    {
        http.problem(
            "prefix",
            "is not supported yet, and clients would not find the registry without it",
        );
    }
    let tls = http.section("tls");
    if !tls.is_empty() {
        http.problem("tls", "is not supported yet, and this server would speak without encryption; take it out and put a proxy that speaks TLS in front");
    }
    // There is no state in our `Location`s that would need a signature, and HTTP/2 is always understood.
    http.ignore(&["secret", "h2c", "http2"]);
    http.finish();
    (address, options)
}

/// `http.draintimeout`, and our own `http.timeouts`.
fn limits(http: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let drain = http.duration("draintimeout").unwrap_or(default.drain);
    let mut timeouts = http.section("timeouts");
    let mut timeout = |key, default| match timeouts.duration(key) {
        Some(Duration::ZERO) | None => default,
        Some(duration) => duration,
    };
    let limits = Limits {
        headers: timeout("header", default.headers),
        idle: timeout("idle", default.idle),
        keep_alive: timeout("keepalive", default.keep_alive),
        drain,
        ..default
    };
    timeouts.finish();
    limits
}

fn headers(mut section: Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in section.names() {
        let values = section.strings(&name);
        let Ok(header) = name.parse::<HeaderName>() else {
            section.problem(&name, "is not the name of a header");
            continue;
        };
        for value in values {
            match HeaderValue::try_from(value) {
                Ok(value) => _ = headers.append(header.clone(), value),
                Err(_) => section.problem(&name, "has a value that no header can have"),
            }
        }
    }
    headers
}

/// The default and the largest page of the catalogue.
fn catalog(root: &mut Section<'_>, defaults: &mut ServerOptions) -> (usize, usize) {
    let mut catalog = root.section("catalog");
    let limit = positive(&mut catalog, "maxentries").unwrap_or(defaults.catalog_limit);
    catalog.finish();
    (defaults.catalog_page.min(limit), limit)
}

/// A number above zero; registry:2 takes others for the default.
fn positive(section: &mut Section<'_>, key: &str) -> Option<usize> {
    section
        .number(key)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|&number| number > 0)
}

fn validation(mut validation: Section<'_>, registry: &mut wharf_registry::Options) {
    if validation.boolean("disabled") == Some(true) {
        registry.allow_foreign_layers = true;
    }
    validation.ignore(&["enabled"]);
    let mut manifests = validation.section("manifests");
    let mut urls = manifests.section("urls");
    let (allow, deny) = (urls.strings("allow"), urls.strings("deny"));
    if !allow.is_empty() || !deny.is_empty() {
        registry.allow_foreign_layers = true;
        let accepts_all = deny.is_empty()
            && allow
                .iter()
                .any(|pattern| matches!(&**pattern, ".*" | "^https?://"));
        if !accepts_all {
            manifests.warning("urls", "allows layers that lie elsewhere, but its patterns are not compared yet: every URL is accepted");
        }
    }
    urls.finish();
    manifests.finish();
    validation.finish();
}

fn compatibility(
    mut compat: Section<'_>,
    registry: &mut wharf_registry::Options,
    server: &mut ServerOptions,
) {
    server.strict_accept = compat.boolean("strict_accept").unwrap_or(false);
    registry.allow_missing_references = compat.boolean("sparse_manifests").unwrap_or(false);
    registry.allow_foreign_layers |= compat.boolean("foreign_layers").unwrap_or(false);
    registry.show_empty_repositories = compat.boolean("show_empty_repositories").unwrap_or(false);
    compat.finish();
}

/// To start without these would open what the operator wanted closed, or answer what nobody asked for.
fn refuse_what_protects(root: &mut Section<'_>) {
    let is_none = |auth: &Value| match auth {
        Value::String(name) => name == "none" || name.is_empty(),
        Value::Object(keys) => keys.keys().all(|name| name == "none"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    if root.take("auth").is_some_and(|auth| !is_none(&auth)) {
        root.problem("auth", "is not supported yet, and this server would let everybody in; take it out to start without authentication");
    }
    root.refuse(
        "proxy",
        "is not supported yet; this server would be an ordinary registry, not a cache of another one",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let document = Document {
            root: Document::parse(file).unwrap(),
            ..Document::default()
        };
        let source = (!file.is_empty()).then(|| PathBuf::from("config.yml"));
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        understand(document, source, variables)
    }

    #[test]
    fn nothing_said_is_a_registry_on_loopback() {
        let config = understood("", &[]).unwrap();
        assert_eq!(config.address, "127.0.0.1:5000");
        assert_eq!(
            config.storage,
            Storage::Filesystem {
                root: "./data".into()
            }
        );
        assert_eq!(config.delete_enabled, None);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let empty = understand(Document::default(), Some("/dev/null".into()), []).unwrap();
        assert_eq!((empty.address, empty.storage), (config.address, config.storage));
    }

    #[test]
    fn the_configuration_of_the_registry_2_image_is_understood() {
        let file = "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  \
            filesystem:\n    rootdirectory: /var/lib/registry\nhttp:\n  addr: :5000\n  headers:\n    \
            X-Content-Type-Options: [nosniff]\nhealth:\n  storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\n";
        let config = understood(file, &[("REGISTRY_STORAGE_DELETE_ENABLED", "yes")]).unwrap();
        assert_eq!(config.address, ":5000");
        assert_eq!(
            config.storage,
            Storage::Filesystem {
                root: "/var/lib/registry".into()
            }
        );
        assert_eq!(config.delete_enabled, Some(true));
        assert_eq!(config.server.headers["x-content-type-options"], "nosniff");
        assert_eq!(
            config.warnings,
            [
                "`log.fields` is not supported yet and has no effect",
                "`health` is not supported yet and has no effect"
            ]
        );
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let variables = [("REGISTRY_HTTP_ADDR", ":5001"), ("REGISTRY_STORAGE", "inmemory")];
        let config = understood("", &variables).unwrap();
        assert_eq!(
            (config.address.as_str(), config.storage),
            (":5001", Storage::InMemory)
        );
        let variables = [("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/d")];
        assert_eq!(
            understood("", &variables).unwrap().storage,
            Storage::Filesystem { root: "/d".into() }
        );
    }

    #[test]
    fn what_protects_is_never_ignored() {
        let refused = |more: &str, expected: &str| {
            let file = format!("version: 0.1\nstorage: inmemory\n{more}\n");
            let error = understood(&file, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{more}: {error}");
        };
        refused(
            "auth: {htpasswd: {realm: r, path: p}}",
            "`auth` is not supported yet",
        );
        refused(
            "http: {tls: {certificate: c, key: k}}",
            "`http.tls` is not supported yet",
        );
        refused(
            "proxy: {remoteurl: https://registry-1.docker.io}",
            "`proxy` is not supported yet",
        );
        refused("http: {prefix: /r/}", "`http.prefix`");
        understood("version: 0.1\nstorage: inmemory\nauth: none\n", &[]).unwrap();
        let bucket = understood("version: 0.1\nstorage: {s3: {bucket: b}}\n", &[])
            .unwrap_err()
            .to_string();
        assert!(
            bucket.contains("`storage.s3` is not supported yet") && !bucket.contains("missing"),
            "{bucket}"
        );
        let read_only = "version: 0.1\nstorage: {inmemory: , maintenance: {readonly: {enabled: true}}}\n";
        assert!(
            understood(read_only, &[])
                .unwrap_err()
                .to_string()
                .contains("readonly.enabled")
        );
    }

    #[test]
    fn problems_are_named_together_with_their_origin() {
        let file = "version: 0.2\nstorage: {filesystem: {rootdirectory: /d}, delete: {enabled: maybe}}\nlog: {level: loud}\n";
        let error = understood(file, &[("REGISTRY_HTTP_DRAINTIMEOUT", "soon")])
            .unwrap_err()
            .to_string();
        for expected in [
            "`version` must be `0.1`, not `0.2`",
            "`storage.delete.enabled` must be `true` or `false`, not `maybe`",
            "`log.level` must be",
            "`http.draintimeout` (from $REGISTRY_HTTP_DRAINTIMEOUT) must be a duration",
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn the_other_keys_mean_what_they_mean_in_registry_2() {
        let file = "version: 0.1\nstorage:\n  filesystem:\n  maintenance:\n    uploadpurging: {age: 2h, interval: 1h}\n\
            http: {host: 'https://r.example/', relativeurls: true, draintimeout: 60s, timeouts: {idle: 5s}}\ncatalog: {maxentries: 50}\n\
            tags: {maxtags: 7}\ncompat: {strict_accept: true, sparse_manifests: true}\nvalidation: {manifests: {urls: {allow: ['.*']}}}\n";
        let config = understood(file, &[]).unwrap();
        assert_eq!(
            config.storage,
            Storage::Filesystem {
                root: REGISTRY_2_ROOT.into()
            }
        );
        let hour = Duration::from_secs(3600);
        assert_eq!(
            config.purge,
            Some(Purge {
                age: 2 * hour,
                interval: hour
            })
        );
        assert_eq!(config.server.host.as_deref(), Some("https://r.example"));
        assert_eq!(config.server.limits.drain, Duration::from_secs(60));
        assert_eq!(config.server.limits.idle, Duration::from_secs(5));
        assert_eq!(
            (config.server.catalog_page, config.server.catalog_limit),
            (50, 50)
        );
        assert_eq!(config.server.tags_limit, 7);
        assert!(config.server.relative_urls && config.server.strict_accept);
        assert!(config.registry.allow_missing_references && config.registry.allow_foreign_layers);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}
