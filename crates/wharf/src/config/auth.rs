//! `auth`: how clients log in.

use super::{
    Htpasswd,
    keys::{Group, Key, keys},
    section::Section,
    unsupported,
};

keys! {
    AUTH: Group = Key::choice("auth", "`none`").says("How clients log in: one of the sections below, or its name");
    NONE: Group = Key::named("auth.none").says("Not at all: every client may do everything");
    HTPASSWD: Group = Key::named("auth.htpasswd").says("With a user of a password file");
    REALM: String = Key::new("auth.htpasswd.realm")
        .default("Registry Realm")
        .says("Shown by browsers beside the question for the password");
    PATH: Option<String> = Key::new("auth.htpasswd.path").says("The password file; see [users](users.md)");
}

/// Reads how clients log in. What cannot be kept out as the file says is a problem: without it every client gets in.
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
                "names {} ways to let people in, {}; take out all but one",
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
