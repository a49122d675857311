//! Reads the configuration, applies the environment, and makes the settings of it.

use std::{cell::RefCell, ffi::OsString, fmt::Write as _, path::Path};

use anyhow::bail;
use wharf_document::{Map, Place, words::cut};
use wharf_http::TraceSettings;
use wharf_server::ServerOptions;

use super::{
    Engine, Middleware, Settings, Source, access, activity, admin, auth, check, collect, compat, debug,
    environment,
    file::{PLACES, find, read},
    health, history, http, limits, lines, log, middleware, mirrors, notifications, paging, proxy,
    report::Report,
    retention, scrub,
    section::Section,
    storage,
    table::VERSION,
    tokens, trash, ui, unsupported,
    upstream::OwnAddresses,
    validation,
};

/// A configuration that was read: its tree, the report about it, and the settings.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The file that it was read from.
    pub(super) source: Option<Source>,
    /// The file with the environment applied, and without aliases.
    pub(super) root: Map,
    pub(super) report: Report,
    /// The settings; valid only if there are no problems.
    pub(super) settings: Settings,
}

/// Reads the file that `argument` names, or the first of the usual ones, and applies the environment.
pub(crate) fn load(argument: Option<&Path>) -> anyhow::Result<Settings> {
    read_all(argument).into_settings()
}

/// Reads `text` as a file, and applies `variables`.
pub(crate) fn parse(
    text: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Settings> {
    let variables = variables
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    interpret(None, Some(text), variables, Report::new(None)).into_settings()
}

/// Reads the same as [`load`], and keeps the problems for a report.
pub(super) fn read_all(argument: Option<&Path>) -> Loaded {
    let variable = std::env::var_os(environment::CONFIGURATION_PATH);
    let (source, shadowed) = find(argument, variable, &PLACES.map(Path::new));
    let path = source.as_ref().map(|source| source.path.as_path());
    let mut report = Report::new(path);
    if let Some(other) = &shadowed {
        let text = format!("`{}` exists as well, and is not read", other.display());
        report.warning(&Place::Nowhere, text);
    }
    let text = match path.map(read) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(error)) => {
            report.problem(&Place::Nowhere, format!("the file cannot be read: {error}"));
            None
        }
    };
    interpret(source, text.as_deref(), std::env::vars_os(), report)
}

/// Reads the text of a file, and applies variables.
pub(super) fn interpret(
    source: Option<Source>,
    text: Option<&str>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    mut report: Report,
) -> Loaded {
    let mut root = match wharf_document::parse(text.unwrap_or_default(), &Place::Line) {
        Ok(parsed) => {
            for warning in parsed.warnings {
                report.warning(&Place::Line(warning.line), warning.what.to_string());
            }
            parsed.root
        }
        Err(wrong) => {
            report.problem(&Place::Line(wrong.line), wrong.text);
            Default::default()
        }
    };
    // An empty file, such as `/dev/null`, counts as no file. So does a file that cannot be parsed: that problem has
    // been reported, and consequences of it need not be.
    let has_file = !root.is_nothing();
    if root.map().is_none() && has_file {
        let text = format!(
            "a configuration is made of `key: value` lines, this is {}",
            root.kind()
        );
        report.problem(&root.place, text);
        root = Default::default();
    }
    let mut root = std::mem::take(root.make_map());
    check::rename(&mut root, &mut report);
    check::expand_names(&mut root);
    let variables: Vec<(OsString, OsString)> = variables.into_iter().collect();
    let traces = traces(&variables, &mut report);
    environment::apply(&mut root, variables, &mut report);
    check::rename(&mut root, &mut report);
    check::expand_names(&mut root);
    check::check(&root, &mut report);
    let report = RefCell::new(report);
    let settings = settings(&Section::root(&root, &report), has_file, source.clone(), traces);
    Loaded {
        source,
        root,
        report: report.into_inner(),
        settings,
    }
}

/// Makes the settings from the keys.
fn settings(
    root: &Section<'_>,
    has_file: bool,
    source: Option<Source>,
    traces: Option<TraceSettings>,
) -> Settings {
    version(root, has_file);
    let storage = storage::read(root, has_file);
    let mut registry = wharf_registry::Options::default();
    let mut server = ServerOptions::default();
    let http = http::read(root, &mut server);
    server.read_only = storage.read_only;
    let is_s3 = matches!(storage.engine, None | Some(Engine::S3(_)));
    let middleware = middleware::read(root, is_s3);
    server.redirect = storage
        .redirect
        .filter(|_| has_address_for_clients(storage.engine.as_ref(), &middleware));
    paging::read(root, &mut server);
    validation::read(root, &mut registry);
    compat::read(root, &mut registry, &mut server);
    (registry.trash_retention, registry.trash_pressure) = trash::read(root);
    let collect = collect::read(root);
    registry.collect_grace = collect.grace;
    let auth = auth::read(root);
    let tokens = tokens::read(root, auth.as_ref(), &server);
    let has_accounts = auth.is_some() || unsupported::LOGINS.iter().any(|&way| root.has(way));
    let webhooks = notifications::read(root);
    let activity = activity::read(root);
    let (ui, page) = ui::read(root);
    server.ui = page;
    let own = OwnAddresses::new(&http.listen, &server);
    let mut upstreams = mirrors::read(root, &own, server.read_only);
    upstreams.extend(proxy::read(root, &own, server.read_only));
    registry.sparse = mirrors::sparse(&upstreams);
    let retention = retention::read(root, history::read(root), activity.is_some());
    Settings {
        source,
        warnings: Vec::new(),
        notes: Vec::new(),
        shown: Vec::new(),
        log: log::read(root),
        debug: debug::read(root),
        health: health::read(root),
        traces,
        limits: limits::read(root, storage.engine.as_ref()),
        storage: storage.engine.unwrap_or(Engine::InMemory),
        middleware,
        mirrors: upstreams,
        locking: storage.locking,
        listen: http.listen,
        tls: http.tls,
        deletion: storage.deletion,
        purge: storage.purge,
        auth,
        admin: admin::read(root),
        tokens,
        access: access::read(root, has_accounts),
        registry,
        webhooks,
        activity,
        collect,
        retention,
        scrub: scrub::read(root),
        ui,
        server,
    }
}

/// Reads the variables of OpenTelemetry (`OTEL_…`), which have no keys in the file.
fn traces(variables: &[(OsString, OsString)], report: &mut Report) -> Option<TraceSettings> {
    let value = |name: &str| {
        let variable = variables.iter().find(|(known, _)| known == name);
        variable.and_then(|(_, value)| value.to_str().map(str::to_owned))
    };
    let mut warnings = Vec::new();
    let settings = TraceSettings::from_environment(value, &mut warnings);
    for warning in warnings {
        report.warning(&Place::Nowhere, warning);
    }
    settings.unwrap_or_else(|problem| {
        report.problem(&Place::Nowhere, problem);
        None
    })
}

/// Whether clients can read from the store itself, or from a server in front of it.
fn has_address_for_clients(engine: Option<&Engine>, middleware: &[Middleware]) -> bool {
    let (is_reachable, signs) = match engine {
        Some(Engine::S3(bucket)) => (bucket.settings.is_reachable_by_clients(), true),
        Some(Engine::Cloud(bucket)) => (bucket.is_reachable_by_clients(), true),
        Some(Engine::Filesystem { .. } | Engine::InMemory) | None => (false, false),
    };
    let is_in_front = |server: &Middleware| server.has_address() && (signs || !server.needs_signed_url());
    is_reachable || middleware.iter().any(is_in_front)
}

fn version(root: &Section<'_>, has_file: bool) {
    match root.get(VERSION).as_deref() {
        Some("0.1") => {}
        Some(other) => root.problem(VERSION, &format!("must be `0.1`, not `{}`", cut(other))),
        None if has_file => root.problem(
            VERSION,
            "is missing; the first line of a configuration is `version: 0.1`",
        ),
        None => {}
    }
}

impl Loaded {
    /// The configuration, if there are no problems.
    pub(super) fn into_settings(self) -> anyhow::Result<Settings> {
        let Self {
            root,
            source,
            report,
            mut settings,
            ..
        } = self;
        if !report.problems.is_empty() {
            bail!(complaint(source.as_ref(), &report));
        }
        settings.shown = lines::settings(&root, &report);
        settings.warnings = report.lines(&report.warnings);
        settings.notes = report.lines(&report.notes);
        Ok(settings)
    }
}

fn complaint(source: Option<&Source>, report: &Report) -> String {
    let mut text = match source {
        Some(source) => format!("{source} cannot be used:"),
        None => "the configuration in the environment cannot be used:".to_owned(),
    };
    for problem in report.lines(&report.problems) {
        _ = write!(text, "\n  - {problem}");
    }
    text.push_str(source.map_or("", Source::hint));
    text
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::{
        super::storage::REGISTRY_2_ROOT,
        super::{DeletePolicy, Found, Htpasswd, Listen, Purge},
        *,
    };

    fn source(path: &str) -> Source {
        let path = PathBuf::from(path);
        let found = Found::Argument;
        Source { path, found }
    }

    fn loaded(file: &str, variables: &[(&str, &str)]) -> Loaded {
        let source = (!file.is_empty()).then(|| source("config.yml"));
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let report = Report::new(source.as_ref().map(|source| &*source.path));
        interpret(source, Some(file), variables, report)
    }

    fn understood(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
        loaded(file, variables).into_settings()
    }

    #[test]
    fn nothing_said_is_a_registry_on_loopback() {
        let config = understood("", &[]).unwrap();
        assert_eq!(config.listen, Listen::Tcp("127.0.0.1:5000".into()));
        assert_eq!(
            config.storage,
            Engine::Filesystem {
                root: "./data".into()
            }
        );
        assert_eq!(config.deletion, DeletePolicy::WhenUsersOrLoopback);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        // The defaults of the keys are those of the crates that the settings are for.
        assert_eq!(config.server, ServerOptions::default());
        let registry = wharf_registry::Options {
            // A library that is used without a word keeps no records.
            trash_retention: Duration::from_secs(7 * 86_400),
            trash_pressure: wharf_registry::Pressure::Percent(5),
            ..wharf_registry::Options::default()
        };
        assert_eq!(config.registry, registry);
        let empty = interpret(Some(source("/dev/null")), Some(""), [], Report::new(None))
            .into_settings()
            .unwrap();
        let source = config.source.clone();
        assert_eq!(Settings { source, ..empty }, config);
    }

    #[test]
    fn settings_differ_when_a_pattern_does() {
        let rules = |pattern: &str| {
            let file = format!(
                "version: 0.1\nstorage: inmemory\nvalidation: {{manifests: {{urls: {{deny: [{pattern}]}}}}}}\n"
            );
            understood(&file, &[]).unwrap()
        };
        assert_eq!(rules("a"), rules("a"));
        assert_ne!(rules("a"), rules("b"));
    }

    #[test]
    fn deletion_follows_its_key_or_else_users_and_address() {
        for (written, has_users, is_loopback, expected) in [
            ("", false, false, false),
            ("", true, false, true),
            ("", false, true, true),
            ("delete: {enabled: true}, ", false, false, true),
            ("delete: {enabled: false}, ", true, true, false),
        ] {
            let file = format!("version: 0.1\nstorage: {{{written}inmemory: {{}}}}\n");
            let deletion = understood(&file, &[]).unwrap().deletion;
            assert_eq!(deletion.is_enabled(has_users, is_loopback), expected, "{file}");
        }
    }

    #[test]
    fn the_configuration_of_the_registry_2_image_is_understood() {
        let file = "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  \
            filesystem:\n    rootdirectory: /var/lib/registry\nhttp:\n  addr: :5000\n  headers:\n    \
            X-Content-Type-Options: [nosniff]\nhealth:\n  storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\n";
        let config = understood(file, &[("REGISTRY_STORAGE_DELETE_ENABLED", "yes")]).unwrap();
        assert_eq!(config.listen, Listen::Tcp(":5000".into()));
        assert_eq!(
            config.storage,
            Engine::Filesystem {
                root: "/var/lib/registry".into()
            }
        );
        assert_eq!(config.deletion, DeletePolicy::Always);
        assert_eq!(config.server.headers["x-content-type-options"], "nosniff");
        assert_eq!(config.log.fields, [("service".to_owned(), "registry".to_owned())]);
        let check = config.health.storage.unwrap();
        assert_eq!((check.interval, check.threshold), (Duration::from_secs(10), 3));
        assert_eq!(config.warnings, Vec::<String>::new());
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let variables = [("REGISTRY_HTTP_ADDR", ":5001"), ("REGISTRY_STORAGE", "inmemory")];
        let config = understood("", &variables).unwrap();
        assert_eq!(
            (config.listen, config.storage),
            (Listen::Tcp(":5001".into()), Engine::InMemory)
        );
        let variables = [("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/d")];
        assert_eq!(
            understood("", &variables).unwrap().storage,
            Engine::Filesystem { root: "/d".into() }
        );
    }

    #[test]
    fn what_protects_is_never_ignored() {
        let refused = |more: &str, expected: &str| {
            let file = format!("version: 0.1\nstorage: inmemory\n{more}\n");
            let error = understood(&file, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{more}: {error}");
        };
        for (auth, expected) in [
            ("auth: token", "`auth.token.realm` is missing"),
            ("auth: {token: {realm: r}}", "`auth.token.service` is missing"),
            (
                "auth: {token: {realm: r, service: s, issuer: i}}",
                "`auth.token` has neither `rootcertbundle` nor `jwks`",
            ),
            (
                "auth: {token: {realm: r, service: s, issuer: i, jwks: j, signingalgorithms: [HS256]}}",
                "`auth.token.signingalgorithms`",
            ),
            ("auth: silly", "`auth.silly` lets in"),
            (
                "auth: {htpaswd: {realm: r, path: p}}",
                "`auth.htpaswd` is not a key of the configuration; did you mean `auth.htpasswd`?",
            ),
            ("auth: htpasswd", "`auth.htpasswd.path` is missing"),
            ("auth: {htpasswd: {realm: r}}", "`auth.htpasswd.path` is missing"),
            (
                "auth: {htpasswd: {realm: r, path: ''}}",
                "`auth.htpasswd.path` is missing",
            ),
            (
                "auth: {none: , htpasswd: {path: p}}",
                "`auth` names 2 authentication methods",
            ),
            ("auth: [htpasswd]", "`auth` must have keys"),
        ] {
            refused(auth, expected);
        }
        refused("http: {tls: {key: k}}", "`http.tls.certificate` is missing");
        refused("http: {tls: {clientcas: [c]}}", "`http.tls.clientcas` needs");
        refused("http: {prefix: 'r?'}", "`http.prefix` must be a path");
        understood("version: 0.1\nstorage: inmemory\nauth: none\n", &[]).unwrap();
        let bucket = understood("version: 0.1\nstorage: {s3: {bucket: b}}\n", &[])
            .unwrap_err()
            .to_string();
        assert!(
            bucket.contains("config.yml:2: `storage.s3.region` is missing"),
            "{bucket}"
        );
    }

    fn htpasswd(settings: anyhow::Result<Settings>) -> Htpasswd {
        let auth = settings.unwrap().auth.unwrap();
        auth.htpasswd().unwrap().clone()
    }

    #[test]
    fn a_password_file_is_configured_in_the_file_or_the_environment() {
        let variables = [
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
        ];
        let from_environment = htpasswd(understood("", &variables));
        let file = "version: 0.1\nstorage: inmemory\nauth:\n  htpasswd:\n    realm: Registry Realm\n    path: /auth/htpasswd\n";
        let from_file = htpasswd(understood(file, &[]));
        assert_eq!(from_environment, from_file);
        assert_eq!(
            (&*from_file.realm, from_file.path),
            ("Registry Realm", PathBuf::from("/auth/htpasswd"))
        );
        for open in ["", "auth:\n", "auth: none\n", "auth: {none: {}}\n"] {
            let file = format!("version: 0.1\nstorage: inmemory\n{open}");
            assert_eq!(understood(&file, &[]).unwrap().auth, None, "{open}");
        }
    }

    #[test]
    fn rights_are_configured_for_the_accounts_of_users() {
        let file = |access: &str| {
            format!("version: 0.1\nstorage: inmemory\nauth: {{htpasswd: {{path: p}}}}\naccess: {access}\n")
        };
        let access = understood(
            &file("{rules: /etc/wharf/rules.yml, admins: [root, ops@example.com], anonymous: 'public/**'}"),
            &[("REGISTRY_ACCESS_ADMINS", "[root]")],
        );
        let access = access.unwrap().access;
        assert_eq!(access.rules, Some(PathBuf::from("/etc/wharf/rules.yml")));
        assert_eq!(access.configured.admins, ["root"]);
        let anonymous: Vec<String> = access
            .configured
            .anonymous
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(anonymous, ["public/**"]);
        for (access, expected) in [
            (
                "{anonymous: a**}",
                "config.yml:4: `access.anonymous` has the pattern `a**`, which cannot be used: `**` stands alone",
            ),
            (
                "{anonymous: [ok, Public/x]}",
                "has the pattern `Public/x`, which cannot be used: it matches no repository",
            ),
            (
                "{anonymous: '${account}/**'}",
                "clients without an account have no `${account}`",
            ),
            (
                "{admins: ['root:pw']}",
                "`access.admins` must have names of accounts, and `root:pw` is none",
            ),
            (
                "{admins: ['@ops']}",
                "`access.admins` must have names of accounts, and `@ops` is none",
            ),
        ] {
            let error = understood(&file(access), &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{access}: {error}");
        }
        let open = "version: 0.1\nstorage: inmemory\naccess: {rules: r, anonymous: [a]}\n";
        let error = understood(open, &[]).unwrap_err().to_string();
        for key in [
            "config.yml:3: `access.rules` has no effect without `auth`",
            "config.yml:3: `access.anonymous` has no effect",
        ] {
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn problems_are_named_together_with_their_origin() {
        let file = "version: 0.2\nstorage: {filesystem: {rootdirectory: /d}, delete: {enabled: maybe}}\nlog: {level: loud}\n";
        let error = understood(file, &[("REGISTRY_HTTP_DRAINTIMEOUT", "soon")])
            .unwrap_err()
            .to_string();
        for expected in [
            "config.yml:1: `version` must be `0.1`, not `0.2`",
            "config.yml:2: `storage.delete.enabled` must be `true` or `false`, not `maybe`",
            "config.yml:3: `log.level` must be one of `error`, `warn`, `info`, `debug`, not `loud`",
            "$REGISTRY_HTTP_DRAINTIMEOUT: `http.draintimeout` must be a duration such as `168h` or `1m30s`, not `soon`",
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
            Engine::Filesystem {
                root: REGISTRY_2_ROOT.into()
            }
        );
        let hour = Duration::from_secs(3600);
        assert_eq!(
            config.purge,
            Some(Purge {
                age: 2 * hour,
                interval: hour,
                is_dry: false,
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

    #[test]
    fn one_place_for_the_data_and_one_way_in() {
        let said =
            |file: &str, variables: &[(&str, &str)]| understood(file, variables).unwrap_err().to_string();
        let file = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /d\n";
        let two = said(file, &[("REGISTRY_STORAGE_INMEMORY", "{}")]);
        let expected = "config.yml:2: `storage` names 2 stores, `filesystem` (config.yml:3) and `inmemory` \
             ($REGISTRY_STORAGE_INMEMORY); remove all but one, or choose one with `REGISTRY_STORAGE=inmemory`";
        assert!(two.contains(expected), "{two}");
        let chosen = understood(file, &[("REGISTRY_STORAGE", "inmemory")]).unwrap();
        assert_eq!(chosen.storage, Engine::InMemory);
        let none = said("version: 0.1\nhttp: {addr: ':0'}\n", &[]);
        assert!(none.contains("`storage.filesystem` is missing"), "{none}");
        let unknown = said("version: 0.1\nstorage: {filesytem: {rootdirectory: /d}}\n", &[]);
        assert!(
            unknown.contains("did you mean `storage.filesystem`?"),
            "{unknown}"
        );
        let unknown = said("version: 0.1\nstorage: inmemory\nauth: htpaswd\n", &[]);
        assert!(
            unknown.contains("config.yml:3: `auth.htpaswd` is not a key of the configuration; did you mean"),
            "{unknown}"
        );
        let both = said(
            "version: 0.1\nstorage: inmemory\nauth: {none: , silly: {realm: r, service: s}}\n",
            &[],
        );
        assert!(both.contains("`auth` names 2 authentication methods"), "{both}");
    }

    #[test]
    fn what_is_unknown_is_named_and_does_no_harm() {
        let file = "version: 0.1\nstorage:\n  inmemory:\nhttp:\n  adr: :1\n  Addr: :2\n  draintimout: 5s\nx: {y: 1}\ndelete: {enabled: true}\n";
        let config = understood(file, &[]).unwrap();
        let end = "is not a key of the configuration and has no effect";
        assert_eq!(
            config.warnings,
            [
                format!("config.yml:5: `http.adr` {end}; did you mean `http.addr`?"),
                format!("config.yml:6: `http.Addr` {end}; did you mean `http.addr`?"),
                format!("config.yml:7: `http.draintimout` {end}; did you mean `http.draintimeout`?"),
                format!("config.yml:8: `x` {end}"),
                format!("config.yml:9: `delete` {end}; did you mean `storage.delete`?"),
            ]
        );
    }

    #[test]
    fn other_names_of_keys_count_and_are_told() {
        let file = "version: 0.1\nloglevel: debug\nstorage: {inmemory: , cache: {layerinfo: inmemory}}\n";
        let config = understood(file, &[]).unwrap();
        assert_eq!(config.log.level, tracing::Level::DEBUG);
        assert_eq!(
            config.warnings,
            [
                "config.yml:2: `loglevel` is another name of `log.level`; write that",
                "config.yml:3: `storage.cache.layerinfo` is another name of `storage.cache.blobdescriptor`; write that",
            ]
        );
        let both = understood(
            "version: 0.1\nloglevel: debug\nlog: {level: error}\nstorage: inmemory\n",
            &[],
        )
        .unwrap();
        assert_eq!(both.log.level, tracing::Level::ERROR);
    }

    #[test]
    fn a_file_that_is_no_yaml_is_told_with_its_line_and_alone() {
        let error = understood("version: 0.1\nstorage:\n\tinmemory:\n", &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("config.yml:3: this is not YAML"), "{error}");
        assert!(error.contains("a tab is none in YAML"), "{error}");
        assert_eq!(error.lines().count(), 2, "{error}");
        let list = understood("- version: 0.1\n", &[]).unwrap_err().to_string();
        assert!(
            list.contains("config.yml:1: a configuration is made of `key: value` lines, this is a list"),
            "{list}"
        );
        let missing = understood("storage: inmemory\n", &[]).unwrap_err().to_string();
        assert!(missing.contains("`version` is missing"), "{missing}");
    }

    #[test]
    fn bare_numbers_are_nanoseconds_which_is_told() {
        let config = understood("version: 0.1\nstorage: inmemory\nhttp: {draintimeout: 30}\n", &[]).unwrap();
        assert_eq!(config.server.limits.drain, Duration::from_nanos(30));
        assert_eq!(
            config.warnings,
            [
                "config.yml:3: `http.draintimeout` is 30 nanoseconds, as registry:2 reads a bare number; write `30s` for seconds"
            ]
        );
        let seconds = understood(
            "version: 0.1\nstorage: inmemory\nhttp: {draintimeout: 30000000000}\n",
            &[],
        )
        .unwrap();
        assert_eq!(seconds.server.limits.drain, Duration::from_secs(30));
        assert!(seconds.warnings.is_empty());
    }

    #[test]
    fn an_endpoint_named_by_its_url_has_no_secrets_in_its_name() {
        let file = "version: 0.1\nstorage: inmemory\nnotifications: {endpoints: \
            [{name: 'https://u:p@h.example/?key=k', url: 'https://h.example/'}]}\n";
        let endpoints = understood(file, &[]).unwrap().webhooks.endpoints;
        assert_eq!(endpoints[0].name, "https://REDACTED@h.example/?key=REDACTED");
    }

    #[test]
    fn an_error_names_the_file_that_led_to_it_and_what_starts_without_it() {
        let blame = |found| {
            Source {
                path: "/etc/c.yml".into(),
                found,
            }
            .blame("no")
        };
        assert_eq!(
            blame(Found::Argument),
            "cannot start with the configuration `/etc/c.yml`: no"
        );
        assert!(blame(Found::Variable).contains("`$REGISTRY_CONFIGURATION_PATH` names: no\nhint: "));
        let found = blame(Found::Place);
        assert!(
            found.contains("found at its usual place: no\nhint: ")
                && found.contains("`wharf serve /dev/null`")
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(
            file in "(?s).{0,200}",
            lines in proptest::collection::vec(("[ -]{0,6}", "(version|storage|filesystem|delete|enabled|http|headers|tls|health|auth|<<|&a|\\*a|x)", ": ?", "(yes|0.1|5s|\\[|\\]|\\{\\}|\\*a|&a|\"|inmemory|\n|-1|99999999999999999999)?"), 0..20),
            names in proptest::collection::vec("REGISTRY_(STORAGE|HTTP|HEALTH|AUTH|LOG|REDIS|MIDDLEWARE|NOTIFICATIONS)?_?(ENDPOINTS_[0-9]|HEADERS|TLS_CLIENTCAS|FILE|CACHE|S3|FIELDS|OPTIONS)?_?[A-Z0-9_]{0,12}", 0..8),
            value in "(?s).{0,40}",
        ) {
            let built: String = lines.iter().map(|(a, b, c, d)| format!("{a}{b}{c}{d}\n")).collect();
            let variables: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
            for text in [file.as_str(), built.as_str(), &format!("version: 0.1\nstorage: inmemory\n{built}")] {
                // The report does not matter; that there is one, does.
                drop(understood(text, &variables));
                let examined = super::super::show::Examined::of(loaded(text, &variables));
                drop((examined.remarks(), examined.yaml(true)));
            }
        }
    }
}
