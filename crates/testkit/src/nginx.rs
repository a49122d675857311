//! nginx with the recipes of `docs/nginx.md` and of files, each on a port of its own.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{
    process::Process,
    proxy::{Proxy, Recipe},
    tls::Identity,
    tool,
};

/// Starts nginx with the recipe under `heading`, on loopback, with these changes: pairs of a text in the recipe and its
/// replacement. `listen` and the files of TLS are always replaced.
///
/// # Panics
///
/// When the recipe has no such text, nginx is not installed or does not start; the message holds its output.
pub fn start(heading: &str, changes: &[(&str, &str)], identity: &Identity) -> Proxy {
    Proxy::start("nginx", |address| {
        let directory = TempDir::with_prefix("wharf-nginx-").expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file is written");
        let mut recipe = Recipe::read("docs/nginx.md", Some(heading), "nginx");
        if heading == "Plain HTTP" {
            recipe.change("listen 80;", &format!("listen {address};"));
        } else {
            recipe.change("listen 443 ", &format!("listen {address} "));
            recipe.change("/etc/ssl/registry.crt", &path("crt"));
            recipe.change("/etc/ssl/registry.key", &path("key"));
        }
        write("crt", &identity.certificate);
        write("key", &identity.key);
        launch(recipe, changes, directory)
    })
}

/// Starts nginx by the recipe "Several replicas" in front of servers on unix sockets, in plain HTTP: the requests go to them
/// in turn.
///
/// # Panics
///
/// As [`start`].
pub fn balance(sockets: &[PathBuf], identity: &Identity) -> Proxy {
    let servers: Vec<String> = sockets
        .iter()
        .map(|socket| format!("server unix:{} max_fails=0;", socket.display()))
        .collect();
    let mut upstream = Recipe::read("docs/nginx.md", Some("Several replicas"), "nginx");
    let written = [
        "server 10.0.0.11:5000 max_fails=0;",
        "server 10.0.0.12:5000 max_fails=0;",
    ];
    upstream.change(written[1], "");
    upstream.change(written[0], &servers.join("\n"));
    let changes = [
        ("server {", &*format!("{}\nserver {{", upstream.text)),
        ("http://127.0.0.1:5000", "http://registry"),
    ];
    start("Plain HTTP", &changes, identity)
}

/// Starts nginx with a file of this project that listens on port 80 without TLS, on loopback, with these changes.
///
/// # Panics
///
/// As [`start`].
pub fn start_file(file: &str, changes: &[(&str, &str)]) -> Proxy {
    Proxy::start("nginx", |address| {
        let directory = TempDir::with_prefix("wharf-nginx-").expect("a temporary directory");
        let mut recipe = Recipe::file(file);
        recipe.change("listen 80;", &format!("listen {address};"));
        launch(recipe, changes, directory)
    })
}

fn launch(mut recipe: Recipe, changes: &[(&str, &str)], directory: TempDir) -> (Process, TempDir) {
    let path = |name: &str| directory.path().join(name).display().to_string();
    for (from, to) in changes {
        recipe.change(from, to);
    }
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places = places
        .map(|name| format!("{name}_temp_path {};", path(name)))
        .join("\n");
    let configuration = path("nginx.conf");
    std::fs::write(
        &configuration,
        format!(
            "daemon off;\nmaster_process off;\npid {};\nevents {{ worker_connections 256; }}\n\
                 http {{\naccess_log off;\n{places}\n{}\n}}\n",
            path("pid"),
            recipe.text
        ),
    )
    .expect("a file is written");
    let process = Process::start(
        Command::new(tool::find("nginx").expect("nginx was looked for")).args([
            "-p",
            &path(""),
            "-c",
            &configuration,
            "-e",
            "stderr",
        ]),
    );
    (process, directory)
}
