//! `auth`: who is let in.

use super::{
    Htpasswd,
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

/// Shown by browsers beside the question for the password.
const DEFAULT_REALM: &str = "Registry Realm";

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "auth",
        Kind::Choice,
        Default::Words("`none`"),
        "Who is let in: one of the ways below, or its name",
    ),
    Key::works("auth.none", Kind::Named, Default::None, "Everybody"),
    Key::works(
        "auth.htpasswd",
        Kind::Named,
        Default::None,
        "Who is in a password file",
    ),
    Key::works(
        "auth.htpasswd.realm",
        Kind::Text,
        Default::Value(DEFAULT_REALM),
        "Shown by browsers beside the question for the password",
    ),
    Key::works(
        "auth.htpasswd.path",
        Kind::Text,
        Default::None,
        "The password file; see [users](users.md)",
    ),
    Key::refused(
        "auth.token",
        Kind::Named,
        "is not supported yet, and this server would let everybody in; use `auth.htpasswd`",
    ),
    Key::below("auth.token.realm", Kind::Text),
    Key::below("auth.token.service", Kind::Text),
    Key::below("auth.token.issuer", Kind::Text),
    Key::below("auth.token.rootcertbundle", Kind::Text),
    Key::below("auth.token.jwks", Kind::Text).since(Since::From3("3.0")),
    Key::below("auth.token.autoredirect", Kind::Boolean),
    Key::below("auth.token.autoredirectpath", Kind::Text).since(Since::From3("3.0")),
    Key::below("auth.token.signingalgorithms", Kind::Texts).since(Since::From3("3.0")),
    Key::refused(
        "auth.silly",
        Kind::Named,
        "lets in whoever sends any `Authorization` header; use `auth.htpasswd`, or `auth: none` to let everybody in",
    ),
    Key::below("auth.silly.realm", Kind::Text),
    Key::below("auth.silly.service", Kind::Text),
];

/// The ways of `auth`.
const WAYS: [&str; 4] = ["none", "htpasswd", "token", "silly"];

/// Reads who is let in. What cannot be kept out as the file says is a problem: to go on would let everybody in.
pub(super) fn read(auth: &Section<'_>) -> Option<Htpasswd> {
    let ways: Vec<String> = WAYS
        .iter()
        .filter(|way| auth.has(way))
        .map(|way| format!("`{way}` ({})", auth.whence(way)))
        .collect();
    if ways.len() > 1 {
        auth.problem_here(&format!(
            "names {} ways to let people in, {}; take out all but one",
            ways.len(),
            ways.join(" and ")
        ));
    }
    if auth.has("htpasswd") {
        htpasswd(&auth.section("htpasswd"))
    } else {
        None
    }
}

fn htpasswd(section: &Section<'_>) -> Option<Htpasswd> {
    let path = section.string("path");
    if path.is_none() {
        section.problem(
            "path",
            "is missing; say where the password file is, such as `/auth/htpasswd`",
        );
    }
    Some(Htpasswd {
        realm: section
            .string("realm")
            .unwrap_or_else(|| DEFAULT_REALM.to_owned()),
        path: path?.into(),
    })
}
