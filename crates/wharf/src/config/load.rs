//! Finds the configuration, and reads what each key means.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use wharf_server::ServerOptions;

use super::{
    Config, Storage, auth, compat, environment, health, http, log, notifications, paging, proxy,
    raw::{Document, Section},
    storage, validation,
};

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
    let deprecated_level = root.choice("loglevel", &log::LEVELS);
    let log = log::read(root.section("log"), deprecated_level);
    let storage = storage::read(root.section_or_name("storage"), has_file);
    let mut registry = wharf_registry::Options::default();
    let mut server = ServerOptions::default();
    let http = http::read(root.section("http"), &mut server);
    server.read_only = storage.read_only;
    paging::read(root.section("catalog"), root.section("tags"), &mut server);
    validation::read(root.section("validation"), &mut registry);
    compat::read(root.section("compat"), &mut registry, &mut server);
    let auth = auth::read(root.section_or_name("auth"));
    health::read(&root.section("health"));
    notifications::read(&root.section("notifications"));
    proxy::read(&root.section("proxy"));
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
        storage: storage.engine.unwrap_or(Storage::InMemory),
        listen: http.listen,
        tls: http.tls,
        delete_enabled: storage.delete_enabled,
        purge: storage.purge,
        auth,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::storage::REGISTRY_2_ROOT,
        super::{Listen, Purge},
        *,
    };

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
        assert_eq!(config.listen, Listen::Tcp("127.0.0.1:5000".into()));
        assert_eq!(
            config.storage,
            Storage::Filesystem {
                root: "./data".into()
            }
        );
        assert_eq!(config.delete_enabled, None);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let empty = understand(Document::default(), Some("/dev/null".into()), []).unwrap();
        assert_eq!((empty.listen, empty.storage), (config.listen, config.storage));
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
            (config.listen, config.storage),
            (Listen::Tcp(":5001".into()), Storage::InMemory)
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
        for (auth, expected) in [
            ("auth: token", "`auth.token` is not supported yet"),
            ("auth: {token: {realm: r}}", "`auth.token` is not supported yet"),
            ("auth: silly", "`auth.silly` lets in"),
            (
                "auth: {htpaswd: {realm: r, path: p}}",
                "`auth.htpaswd` is no way to log in",
            ),
            ("auth: htpasswd", "`auth.htpasswd.path` is missing"),
            ("auth: {htpasswd: {realm: r}}", "`auth.htpasswd.path` is missing"),
            (
                "auth: {htpasswd: {realm: r, path: ''}}",
                "`auth.htpasswd.path` is missing",
            ),
            (
                "auth: {none: , htpasswd: {path: p}}",
                "both `none` and `htpasswd`",
            ),
            ("auth: [htpasswd]", "`auth` must have keys"),
        ] {
            refused(auth, expected);
        }
        refused("http: {tls: {key: k}}", "`http.tls.certificate` is missing");
        refused("http: {tls: {clientcas: [c]}}", "`http.tls.clientcas` needs");
        refused(
            "proxy: {remoteurl: https://registry-1.docker.io}",
            "`proxy` is not supported yet",
        );
        refused("http: {prefix: 'r?'}", "`http.prefix` must be a path");
        understood("version: 0.1\nstorage: inmemory\nauth: none\n", &[]).unwrap();
        let bucket = understood("version: 0.1\nstorage: {s3: {bucket: b}}\n", &[])
            .unwrap_err()
            .to_string();
        assert!(
            bucket.contains("`storage.s3` is not supported yet") && !bucket.contains("missing"),
            "{bucket}"
        );
    }

    #[test]
    fn a_password_file_is_configured_in_the_file_or_the_environment() {
        let variables = [
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
        ];
        let from_environment = understood("", &variables).unwrap().auth.unwrap();
        let file = "version: 0.1\nstorage: inmemory\nauth:\n  htpasswd:\n    realm: Registry Realm\n    path: /auth/htpasswd\n";
        let from_file = understood(file, &[]).unwrap().auth.unwrap();
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
