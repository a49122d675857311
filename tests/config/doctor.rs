//! `wharf doctor`: each breakage of a good registry has its line and its remedy, and nothing is changed.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use wharf_testkit::Server;

use crate::{
    LAUNCHER,
    look::{Output, Site},
};

/// Any free port.
const FREE: (&str, &str) = ("REGISTRY_HTTP_ADDR", "127.0.0.1:0");

/// A registry as `wharf init` makes it, with an image.
fn registry() -> Site {
    let site = Site::new("");
    let init = [
        "init",
        "reg",
        "--password-out",
        "password",
        "--host",
        "registry.test",
    ];
    site.run(&init, &[]).good();
    // A hash that is quick to check.
    let again = [
        "htpasswd",
        "-cbBC",
        "4",
        "reg/auth/htpasswd",
        "admin",
        "a long one",
    ];
    site.run(&again, &[]).good();
    std::fs::create_dir_all(site.path("reg/data/docker/registry/v2/repositories/app/_manifests")).unwrap();
    site
}

fn doctor(site: &Site, variables: &[(&str, &str)]) -> Output {
    let mut all = vec![FREE];
    all.extend(variables);
    site.run(&["doctor", "--json", "reg/config.yml"], &all)
}

/// The lines of a check with a state, each as text and remedy.
fn lines(report: &Output, check: &str, state: &str) -> Vec<(String, String)> {
    let report: Value =
        serde_json::from_str(&report.out).unwrap_or_else(|error| panic!("{error}: {}", report.error));
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let all = report["checks"].as_array().unwrap().iter();
    all.filter(|line| line["check"] == check && line["state"] == state)
        .map(|line| (text(line, "text"), text(line, "remedy")))
        .collect()
}

/// Whether a line of the check has this text and this remedy.
#[track_caller]
fn has(report: &Output, check: &str, state: &str, text: &str, remedy: &str) {
    let lines = lines(report, check, state);
    assert!(
        lines
            .iter()
            .any(|line| line.0.contains(text) && line.1.contains(remedy)),
        "{check}: {state}: `{text}` -> `{remedy}` was expected in\n{}",
        report.out
    );
    let code = i32::from(report.out.contains("\"state\": \"problem\""));
    assert_eq!(report.code, Some(code), "{}", report.out);
}

#[test]
fn a_good_registry_is_called_good_on_one_screen() {
    let site = registry();
    let before = state_of(&site.path("reg"));
    let report = doctor(&site, &[]);
    assert_eq!(report.code, Some(0), "{}", report.out);
    let checks = [
        "configuration",
        "port",
        "server",
        "certificate",
        "trust",
        "permissions",
        "clock",
        "disk",
        "users",
        "data",
        "uploads",
        "writers",
    ];
    for check in checks {
        assert!(!report.out.contains("\"problem\""), "{}", report.out);
        assert_eq!(
            lines(&report, check, "ok").len() + lines(&report, check, "warning").len(),
            1,
            "{check}: {}",
            report.out
        );
    }
    let said = site.run(&["doctor", "reg/config.yml"], &[FREE]);
    said.good()
        .has("reg/config.yml\n\nok       configuration  no problem")
        .has("ok       certificate    for registry.test, localhost, 127.0.0.1")
        .has("`wharf cert trust registry.test:0 --ca")
        .has("\n0 problems, ");
    assert!(said.out.lines().count() <= 20, "{}", said.out);
    assert_eq!(before, state_of(&site.path("reg")), "nothing is changed");
}

/// Every file below a directory: its content or its kind, its mode, and the time of its last change.
fn state_of(directory: &Path) -> BTreeMap<String, (Vec<u8>, u32, SystemTime)> {
    let mut state = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let found = path.symlink_metadata().unwrap();
        let content = match found.is_dir() {
            true => Vec::new(),
            false => std::fs::read(&path).unwrap(),
        };
        if found.is_dir() {
            left.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        state.insert(
            path.display().to_string(),
            (content, found.mode(), found.modified().unwrap()),
        );
    }
    state
}

/// Breaks a good registry.
type Breakage = fn(&Site);

/// Breakage: check, state, a part of the text, a part of the remedy.
const BREAKAGES: &[(Breakage, &str, &str, &str, &str)] = &[
    (
        |site| add(site, "htp: {}\n"),
        "configuration",
        "warning",
        "`htp` is not a key of the configuration and has no effect; did you mean `http`?",
        "docs/configuration.md",
    ),
    (
        |site| replace(site, "version: 0.1", "version: 0.2"),
        "configuration",
        "problem",
        "reg/config.yml:5: `version` must be `0.1`",
        "correct it",
    ),
    (
        |site| {
            remove(site, "certs/domain.crt");
            remove(site, "certs/domain.key");
            let made = [
                "cert",
                "new",
                "registry.test",
                "--days",
                "10",
                "--out",
                "reg/certs/domain",
            ];
            site.run(&made, &[]).good();
        },
        "certificate",
        "warning",
        "it expires in 9 days",
        "wharf cert new NAME",
    ),
    (
        |site| {
            remove(site, "certs/domain.key");
            site.run(&["cert", "new", "other.test", "--out", "other"], &[])
                .good();
            std::fs::copy(site.path("other.key"), site.path("reg/certs/domain.key")).unwrap();
        },
        "certificate",
        "problem",
        "does not belong to the certificate",
        "wharf cert new NAME --out PREFIX",
    ),
    (
        |site| remove(site, "certs/domain.crt"),
        "certificate",
        "problem",
        "cannot read `http.tls.certificate`",
        "wharf cert new NAME --out PREFIX",
    ),
    (
        |site| replace(site, "http:\n", "http:\n  host: https://hub.test:5000\n"),
        "certificate",
        "warning",
        "`http.host` sends clients to `hub.test`, and it is for registry.test, localhost, 127.0.0.1 only",
        "wharf cert new hub.test --out PREFIX",
    ),
    (
        |site| mode(site, "certs/domain.key", 0o644),
        "permissions",
        "problem",
        "other users can read the private key of the certificate",
        "chmod 600 ",
    ),
    (
        |site| mode(site, "auth/htpasswd", 0o644),
        "permissions",
        "problem",
        "other users can read the password file",
        "chmod 600 ",
    ),
    (
        |site| mode(site, "auth/htpasswd", 0o666),
        "permissions",
        "problem",
        "other users can change the password file",
        "chmod 600 ",
    ),
    (
        |site| mode(site, "auth", 0o707),
        "permissions",
        "problem",
        "other users can change the directory of the password file",
        "chmod 755 ",
    ),
    (
        |site| mode(site, "certs", 0o777),
        "permissions",
        "problem",
        "other users can change the directory of the private key",
        "chmod 755 ",
    ),
    (
        |site| mode(site, "data", 0o777),
        "permissions",
        "problem",
        "other users can change the data directory",
        "chmod 755 ",
    ),
    (
        |site| {
            add(
                site,
                "notifications: {endpoints: [{name: a, url: 'http://127.0.0.1:1', headers: {Authorization: [s]}}]}\n",
            );
        },
        "permissions",
        "problem",
        "other users can read the configuration, which has secrets",
        "chmod 600 reg/config.yml",
    ),
    (
        |site| {
            remove_all(site, "data");
            write(site, "data", "a file");
        },
        "permissions",
        "problem",
        "cannot be used: it is not a directory",
        "chown -R USER",
    ),
    (
        |site| {
            let later = SystemTime::now() + Duration::from_secs(3600);
            let file = std::fs::File::open(site.path("reg/auth/htpasswd")).unwrap();
            file.set_modified(later).unwrap();
        },
        "clock",
        "warning",
        "min in the future",
        "timedatectl set-ntp true",
    ),
    (
        |site| write(site, "auth/htpasswd", ""),
        "users",
        "problem",
        "no user can log in",
        "wharf user add NAME --file",
    ),
    (
        |site| {
            let arguments = [
                "htpasswd",
                "-bB",
                "reg/auth/htpasswd",
                "docker-registry",
                "docker-registry",
            ];
            site.run(&arguments, &[]).good();
        },
        "users",
        "problem",
        "the password of `docker-registry` is well known and easy to guess",
        "wharf user passwd docker-registry --file",
    ),
    (
        |site| {
            let line = std::fs::read_to_string(site.path("reg/auth/htpasswd")).unwrap();
            write(
                site,
                "auth/htpasswd",
                &format!("{line}bob:$apr1$aaaaaaaa$bbbbbbbbbbbbbbbbbbbbbb\n"),
            );
        },
        "users",
        "warning",
        "`bob` cannot log in",
        "wharf user passwd bob --file",
    ),
    (
        |site| {
            replace(site, "access:\n", "access:\n  rules: reg/rules.yml\n");
            write(
                site,
                "rules.yml",
                "rules:\n- {accounts: a, repositories: b, allow: pul}\n",
            );
        },
        "rules",
        "problem",
        "reg/rules.yml:2: `pul` is no action",
        "did you mean `pull`?",
    ),
    (
        |site| {
            replace(site, "access:\n", "access:\n  rules: reg/rules.yml\n");
            write(
                site,
                "rules.yml",
                "rules:\n- {accounts: a, repositories: B, allow: pull}\n",
            );
        },
        "rules",
        "warning",
        "reg/rules.yml:2: `B` matches no name of a repository",
        "",
    ),
    (
        |site| replace(site, "access:\n", "access:\n  anonymous: [public/**]\n"),
        "rules",
        "warning",
        "clients without an account may pull, and Docker with its own image store cannot",
        "set `access.tokens.enabled: true`",
    ),
    (
        |site| {
            replace(site, "access:\n", "access:\n  rules: reg/rules.yml\n");
            write(
                site,
                "rules.yml",
                "rules:\n- {accounts: anonymous, repositories: 'public/**', from: 10.0.0.0/8, allow: pull}\n",
            );
        },
        "rules",
        "warning",
        "clients without an account may pull, and Docker with its own image store cannot",
        "set `access.tokens.enabled: true`",
    ),
    (
        |site| replace(site, "access:\n", "access:\n  rules: reg/gone.yml\n"),
        "rules",
        "problem",
        "cannot read the file of access rules `reg/gone.yml`",
        "correct `access.rules`",
    ),
    (
        |site| {
            replace(site, "access:\n", "access:\n  tokens: {enabled: true}\n");
            std::fs::create_dir_all(site.path("reg/data/wharf/access")).unwrap();
            write(site, "data/wharf/access/keys", "not keys");
            mode(site, "data/wharf/access/keys", 0o600);
        },
        "tokens",
        "problem",
        "cannot be read",
        "restore the file from a backup",
    ),
    (
        |site| {
            std::fs::create_dir_all(site.path("reg/data/wharf/access")).unwrap();
            write(site, "data/wharf/access/robots", "{}");
            mode(site, "data/wharf/access/robots", 0o640);
        },
        "permissions",
        "problem",
        "other users can read the state of the token server",
        "chmod 600 ",
    ),
    (
        |site| {
            std::fs::create_dir(site.path("reg/data/data")).unwrap();
            std::fs::rename(site.path("reg/data/docker"), site.path("reg/data/data/docker")).unwrap();
        },
        "data",
        "problem",
        "a backup was restored a directory too deep",
        "`wharf restore --fix-nesting --to ",
    ),
    (
        |site| {
            std::fs::create_dir_all(site.path("reg/data/registry/docker/registry/v2/repositories/app"))
                .unwrap();
        },
        "data",
        "warning",
        "reg/data/registry`, which is not served",
        "wharf storage copy ",
    ),
    (
        |site| replace(site, "reg/data\n", "reg/data/docker/registry/v2\n"),
        "data",
        "problem",
        "which is itself in a registry",
        "reg/data",
    ),
    (
        |site| write(site, "data/scheduler-state.json", "{}"),
        "data",
        "warning",
        "is of a pull-through cache of registry:2",
        "rm ",
    ),
    (
        |site| {
            let upload =
                "reg/data/docker/registry/v2/repositories/app/_uploads/0af5b8a9-bb2f-4cf4-8c4a-bd4a1a0c3b1d";
            std::fs::create_dir_all(site.path(upload)).unwrap();
            for (name, content) in [("startedat", "2020-01-01T00:00:00Z"), ("data", "layer")] {
                let path = site.path(upload).join(name);
                std::fs::write(&path, content).unwrap();
                age(&path);
            }
            age(&site.path(upload));
        },
        "uploads",
        "warning",
        "1 unfinished upload of pushes that ended a week ago",
        "storage.maintenance.uploadpurging",
    ),
    (
        |site| {
            replace(site, "  tls:", "  no:");
        },
        "certificate",
        "warning",
        "passwords cross the network in clear text",
        "http.host: https://NAME",
    ),
    (
        |site| {
            replace(site, "auth:\n", "other:\n");
            replace(site, "  admins: [", "  others: [");
        },
        "users",
        "warning",
        "no client has to log in",
        "wharf user add NAME --file FILE",
    ),
];

fn add(site: &Site, lines: &str) {
    let text = std::fs::read_to_string(site.path("reg/config.yml")).unwrap();
    write(site, "config.yml", &(text + lines));
}

#[track_caller]
fn replace(site: &Site, from: &str, to: &str) {
    let text = std::fs::read_to_string(site.path("reg/config.yml")).unwrap();
    assert!(text.contains(from), "{text}");
    write(site, "config.yml", &text.replacen(from, to, 1));
}

fn write(site: &Site, name: &str, text: &str) {
    std::fs::write(site.path("reg").join(name), text).unwrap();
}

fn remove(site: &Site, name: &str) {
    std::fs::remove_file(site.path("reg").join(name)).unwrap();
}

fn remove_all(site: &Site, name: &str) {
    std::fs::remove_dir_all(site.path("reg").join(name)).unwrap();
}

fn mode(site: &Site, name: &str, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(site.path("reg").join(name), mode).unwrap();
}

/// Sets the time of the last change to a month ago.
fn age(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    file.set_modified(SystemTime::now() - month).unwrap();
}

#[test]
fn each_breakage_has_its_line_and_its_remedy() {
    for (breaks, check, state, text, remedy) in BREAKAGES {
        let site = registry();
        breaks(&site);
        // The address of the file counts where the encryption of the network is judged.
        let report = match *text == "passwords cross the network in clear text" {
            true => doctor(&site, &[("REGISTRY_HTTP_ADDR", ":0")]),
            false => doctor(&site, &[]),
        };
        has(&report, check, state, text, remedy);
    }
}

/// Only root can give files away.
#[test]
fn files_of_another_owner_are_told() {
    let site = registry();
    let data = site.path("reg/data");
    if data.metadata().unwrap().uid() != 0 {
        return;
    }
    chown(data.join("docker"), Some(4711), None).unwrap();
    let report = doctor(&site, &[]);
    has(
        &report,
        "permissions",
        "warning",
        "belongs to user 4711, and the data directory above it to user 0",
        "chown -R 0 ",
    );
}

#[test]
fn a_port_that_is_taken_has_an_owner() {
    let site = registry();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let report = doctor(&site, &[("REGISTRY_HTTP_ADDR", &address)]);
    let owner = format!("{address} is used by pid {} (", std::process::id());
    has(
        &report,
        "port",
        "problem",
        &owner,
        "choose another port with `http.addr`",
    );
    let report = doctor(&site, &[("REGISTRY_HTTP_ADDR", "192.0.2.1:5000")]);
    has(
        &report,
        "port",
        "problem",
        "cannot listen on 192.0.2.1:5000",
        "has no such address",
    );
}

#[test]
fn a_server_that_runs_is_fine_unless_it_is_unhealthy() {
    let site = registry();
    let builder = Server::builder(LAUNCHER);
    let down = builder.path("down");
    let check = format!("health: {{file: [{{file: {}, interval: 10ms}}]}}", down.display());
    let server = builder.config(check).start();
    let address = server.address().to_string();
    let ask = || doctor(&site, &[("REGISTRY_HTTP_ADDR", &address)]);
    let report = ask();
    let owner = format!("{address} is used by pid {} (wharf), which answers", server.pid());
    has(&report, "port", "ok", &owner, "");
    has(&report, "server", "ok", "a server runs, and answers", "");
    std::fs::write(&down, "").unwrap();
    let deadline = SystemTime::now() + wharf_testkit::PATIENCE;
    loop {
        let report = ask();
        if !lines(&report, "server", "problem").is_empty() || SystemTime::now() > deadline {
            break has(&report, "server", "problem", "not healthy", "/debug/health");
        }
    }
    std::fs::remove_file(&down).unwrap();
}

#[test]
fn a_server_on_the_directory_is_known_and_one_with_another_address_is_told() {
    let site = registry();
    let server = Server::builder(LAUNCHER).start();
    let root = server.root().display().to_string();
    replace(&site, &site.path("reg/data").display().to_string(), &root);
    let named = format!("process {}, `", server.pid());
    let serves = format!(" serves `{root}`");
    let address = server.address().to_string();
    let report = doctor(&site, &[("REGISTRY_HTTP_ADDR", &address)]);
    has(&report, "writers", "ok", &serves, "");
    has(&report, "writers", "ok", &named, "");
    let report = doctor(&site, &[]);
    let told = format!("{serves}, and no server has the address of this configuration");
    has(&report, "writers", "warning", &told, "a second server waits");
    has(&report, "writers", "warning", &named, "stop it");
    let read_only = ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true");
    let report = doctor(&site, &[read_only]);
    has(&report, "writers", "ok", "only reads", "");
}

#[test]
fn a_configuration_that_cannot_be_read_is_exit_code_2() {
    let site = Site::new("");
    let report = site.run(&["doctor", "nowhere.yml"], &[]);
    assert_eq!(report.code, Some(2), "{}", report.out);
    report.has("wharf: cannot read the configuration `nowhere.yml`: No such file or directory");
    assert_eq!(report.out, "");
}

#[test]
fn keys_of_a_token_server_are_looked_at() {
    let site = registry();
    let text = std::fs::read_to_string(site.path("reg/config.yml")).unwrap();
    let (above, rest) = text.split_once("auth:\n").unwrap();
    let (_, below) = rest.split_once("\n\n").unwrap();
    let token = "{realm: 'https://auth.test/token', service: s, issuer: i, rootcertbundle: reg/keys.pem}";
    write(
        &site,
        "config.yml",
        &format!("{above}auth:\n  token: {token}\n\n{below}"),
    );
    has(
        &doctor(&site, &[]),
        "users",
        "problem",
        "reg/keys.pem",
        "take the keys from the token server",
    );
    std::fs::copy(site.path("reg/certs/domain.crt"), site.path("reg/keys.pem")).unwrap();
    has(
        &doctor(&site, &[]),
        "users",
        "ok",
        "logged in by the token server `i`",
        "",
    );
}
