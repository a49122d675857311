//! `auth`: the authentication of clients.

use super::{
    Htpasswd,
    keys::{Group, Key, keys},
    section::Section,
    unsupported,
};

keys! {
    AUTH: Group = Key::choice("auth", "`none`").help("Authentication of clients: one of the sections below, or its name");
    NONE: Group = Key::named("auth.none").help("No authentication: every client may do everything");
    HTPASSWD: Group = Key::named("auth.htpasswd").help("Authentication with a password file");
    REALM: String = Key::new("auth.htpasswd.realm")
        .default("Registry Realm")
        .help("Name of the protected area, which browsers show when they ask for a password");
    PATH: Option<String> = Key::new("auth.htpasswd.path").help("Path of the password file; see [users](users.md)");
}

/// Reads the authentication. An unsupported method is a problem: without it every client could connect.
pub(super) fn read(root: &Section<'_>) -> Option<Htpasswd> {
    let ways = [NONE.info(), HTPASSWD.info()]
        .into_iter()
        .chain(unsupported::LOGINS);
    let ways: Vec<String> = ways
        .filter(|&way| root.has(way))
        .map(|way| format!("`{}` ({})", way.name(), root.origin(way)))
        .collect();
    if ways.len() > 1 {
        root.problem(
            AUTH,
            &format!(
                "names {} authentication methods, {}; remove all but one",
                ways.len(),
                ways.join(" and ")
            ),
        );
    }
    root.has(HTPASSWD).then(|| htpasswd(root)).flatten()
}

fn htpasswd(root: &Section<'_>) -> Option<Htpasswd> {
    let path = root.get(PATH);
    if path.is_none() {
        root.problem(
            PATH,
            "is missing; say where the password file is, such as `/auth/htpasswd`",
        );
    }
    Some(Htpasswd {
        realm: root.get(REALM),
        path: path?.into(),
    })
}
