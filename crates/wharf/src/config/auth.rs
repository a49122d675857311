//! `auth`: who is let in.

use super::{Htpasswd, raw::Section};

/// Shown by browsers beside the question for the password.
const DEFAULT_REALM: &str = "Registry Realm";

/// Reads who is let in; a name stands for its section, as in `auth: none`. What cannot be kept out as the file
/// says is a problem: to go on would let everybody in.
pub(super) fn read(mut auth: Section<'_>) -> Option<Htpasswd> {
    let is_open = auth.has("none");
    auth.ignore(&["none", ""]);
    let mut users = None;
    for name in auth.names() {
        let problem = match &*name {
            "htpasswd" => {
                users = htpasswd(auth.section("htpasswd"));
                continue;
            }
            "token" => "is not supported yet, and this server would let everybody in; use `auth.htpasswd`",
            "silly" => {
                "lets in whoever sends any `Authorization` header; use `auth.htpasswd`, or `auth: none` to let everybody in"
            }
            _ => "is no way to log in; use `auth.htpasswd`, or `auth: none` to let everybody in",
        };
        // Also without anything below it, as in `auth: token`.
        auth.problem(&name, problem);
    }
    if is_open && users.is_some() {
        auth.problem_here("names both `none` and `htpasswd`; leave one of them");
    }
    users
}

fn htpasswd(mut section: Section<'_>) -> Option<Htpasswd> {
    let realm = section.string("realm").filter(|realm| !realm.is_empty());
    let path = section.string("path").filter(|path| !path.is_empty());
    if path.is_none() {
        section.problem(
            "path",
            "is missing; say where the password file is, such as `/auth/htpasswd`",
        );
    }
    section.finish();
    Some(Htpasswd {
        realm: realm.unwrap_or_else(|| DEFAULT_REALM.to_owned()),
        path: path?.into(),
    })
}
