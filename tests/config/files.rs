//! `wharf config check` looks at what the configuration names, and finds what a start would refuse.

use crate::look::Site;

const CERTIFICATE: &str = "http: {addr: '127.0.0.1:0', tls: {certificate: a.crt, key: a.key}}\n";
const USERS: &str = "http: {addr: '127.0.0.1:0'}\nauth: {htpasswd: {realm: r, path: users}}\n";

fn site(rest: &str) -> Site {
    let site = Site::new(&format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: data}}}}\n{rest}"
    ));
    for name in ["a", "b"] {
        site.run(&["cert", "new", "localhost", "--out", name], &[]).good();
    }
    site
}

/// Checks that `check` and `serve` refuse alike, and that `--no-files` does not.
#[track_caller]
fn refused(site: &Site, expected: &str) {
    site.run(&["config", "check", "config.yml"], &[])
        .bad()
        .has(&format!("problem: {expected}"))
        .has("1 problem");
    site.run(&["config", "check", "--no-files", "config.yml"], &[])
        .good()
        .has("0 problems");
    let served = site.run(&["serve", "config.yml"], &[]);
    served
        .bad()
        .has("cannot start with the configuration `config.yml`: ")
        .has(expected);
}

#[test]
fn check_refuses_the_certificates_that_serve_refuses() {
    let missing = site(CERTIFICATE);
    std::fs::remove_file(missing.path("a.key")).unwrap();
    refused(
        &missing,
        "cannot read `http.tls.key` `a.key`: No such file or directory",
    );
    let directory = site(CERTIFICATE);
    std::fs::remove_file(directory.path("a.crt")).unwrap();
    std::fs::create_dir(directory.path("a.crt")).unwrap();
    refused(
        &directory,
        "cannot read `http.tls.certificate` `a.crt`: it is not a regular file, but a directory",
    );
    let other = site(CERTIFICATE);
    std::fs::rename(other.path("b.key"), other.path("a.key")).unwrap();
    refused(
        &other,
        "the key in `http.tls.key` `a.key` does not belong to the certificate",
    );
    let exchanged = site("http: {addr: '127.0.0.1:0', tls: {certificate: a.key, key: a.crt}}\n");
    refused(
        &exchanged,
        "there is no certificate in `http.tls.certificate` `a.key`",
    );
    let bundle = site(
        "http: {addr: '127.0.0.1:0', tls: {certificate: a.crt, key: a.key, clientcas: [a.crt, b.key]}}\n",
    );
    refused(&bundle, "there is no certificate in `http.tls.clientcas` `b.key`");
}

#[test]
fn check_refuses_the_files_of_mirrors_that_serve_refuses() {
    let mirror = |keys: &str| {
        let mirror = format!("{{prefix: a, remoteurl: 'https://u.test', {keys}}}");
        site(&format!("http: {{addr: '127.0.0.1:0'}}\nmirrors: [{mirror}]\n"))
    };
    refused(
        &mirror("dockerconfig: a.crt"),
        "cannot use the upstream of the mirror `a`: `dockerconfig` names `a.crt`, which is no directory",
    );
    refused(
        &mirror("dockerconfig: data"),
        "cannot use the upstream of the mirror `a`: `dockerconfig` names `data`, which is no directory",
    );
    let empty = mirror("dockerconfig: empty");
    std::fs::create_dir(empty.path("empty")).unwrap();
    refused(
        &empty,
        "cannot use the upstream of the mirror `a`: `dockerconfig` names a directory without credentials: cannot read `empty/config.json`",
    );
    refused(
        &mirror("authorities: [nowhere.pem]"),
        "cannot use the upstream of the mirror `a`: ",
    );
    refused(
        &mirror("authorities: [a.key]"),
        "cannot use the upstream of the mirror `a`: ",
    );
}

#[test]
fn check_refuses_the_places_that_serve_refuses() {
    let users = site(USERS);
    std::fs::create_dir(users.path("users")).unwrap();
    refused(
        &users,
        "cannot read the password file `users`: it is not a regular file, but a directory",
    );
    let file = site("http: {addr: '127.0.0.1:0'}\n");
    std::fs::write(file.path("data"), "").unwrap();
    file.run(&["config", "check", "config.yml"], &[])
        .bad()
        .has("problem: the data directory `data` cannot be used: it is not a directory");
    file.run(&["serve", "config.yml"], &[]).bad().has("`data`");
    let socket = site("http: {net: unix, addr: gone/socket}\n");
    socket
        .run(&["config", "check", "config.yml"], &[])
        .bad()
        .has("problem: the unix socket `gone/socket` cannot be made in `gone`");
    socket.run(&["serve", "config.yml"], &[]).bad().has("gone/socket");
}

#[test]
fn check_refuses_an_endpoint_whose_certificate_cannot_be_checked() {
    let hook = site(
        "http: {addr: '127.0.0.1:0'}\nnotifications: {endpoints: [{name: a, url: 'https://127.0.0.1:9/'}]}\n",
    );
    let nothing = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/dev/null")];
    let expected = "no certificate authorities are installed";
    hook.run(&["config", "check", "config.yml"], &nothing)
        .bad()
        .has(expected);
    hook.run(&["serve", "config.yml"], &nothing).bad().has(expected);
}

#[test]
fn check_takes_what_a_start_would_make() {
    let site = site(&USERS.replace("path: users", "path: new/users"));
    site.run(&["config", "check", "config.yml"], &[])
        .good()
        .has("0 problems");
    assert!(
        !site.path("new").exists() && !site.path("data").exists(),
        "it changes nothing"
    );
    std::fs::write(site.path("users"), "a:b\n").unwrap();
}

/// As Debian's package of registry:2 leaves it.
#[test]
fn a_start_that_fails_names_the_file_that_led_to_it() {
    let debian = site(&USERS.replace("path: users", "path: ."));
    let variable = [("REGISTRY_CONFIGURATION_PATH", "config.yml")];
    let said = debian.run(&["serve"], &variable);
    said.bad()
        .has("cannot start with the configuration `config.yml`, which `$REGISTRY_CONFIGURATION_PATH` names: ")
        .has("it is not a regular file, but a directory")
        .has("hint: ")
        .has("`wharf serve /dev/null` starts without one");
    assert_eq!(
        said.error.matches("directory").count(),
        1,
        "each cause once: {}",
        said.error
    );
}

#[test]
fn a_certificate_is_made_in_a_directory_that_is_made_for_it() {
    let site = site("");
    site.run(&["cert", "new", "localhost", "--out", "certs/of/domain"], &[])
        .good();
    assert!(site.path("certs/of/domain.crt").exists() && site.path("certs/of/domain.key").exists());
}
