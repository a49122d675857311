//! `access`: what accounts, and clients without one, may do.

use std::path::PathBuf;

use wharf_access::rules::{Configured, Pattern};
use wharf_document::words::cut;

use super::{
    Access,
    keys::{Default, Key, Since, keys},
    proxyheader,
    section::Section,
};

keys! {
    RULES: Option<String> = Key::new("access.rules")
        .shown_default(Default::Words("every user may do everything"))
        .help("Path of the file of access rules; see [access](access.md)")
        .since(Since::Ours);
    ADMINS: Vec<String> = Key::list("access.admins")
        .help("Accounts that may do everything, also administer the registry")
        .since(Since::Ours);
    ANONYMOUS: Vec<String> = Key::list("access.anonymous")
        .help("Patterns of repositories from which clients may pull without an account, such as `public/**`")
        .since(Since::Ours);
}

/// Reads the rights. `has_accounts` says whether clients log in: without that, rules are about accounts that no client has.
pub(super) fn read(root: &Section<'_>, has_accounts: bool) -> Access {
    let rules = root.get(RULES);
    let admins = root.get(ADMINS);
    let anonymous = root.get(ANONYMOUS);
    if !has_accounts {
        let set = [
            (RULES.info(), rules.is_some()),
            (ADMINS.info(), !admins.is_empty()),
            (ANONYMOUS.info(), !anonymous.is_empty()),
        ];
        for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
            root.problem(
                key,
                "has no effect without `auth`: every client may do everything; set `auth.htpasswd.path`, or remove it",
            );
        }
    }
    for name in &admins {
        if name.is_empty() || name.contains([':', '*']) || name.starts_with('@') {
            root.problem(
                ADMINS,
                &format!("must have names of accounts, and `{}` is none", cut(name)),
            );
        }
    }
    let anonymous = anonymous.iter().filter_map(|text| {
        let pattern = Pattern::parse(text).map_err(|error| error.to_string());
        let pattern = pattern.and_then(|pattern| match text.contains("${") {
            true => Err("clients without an account have no `${account}`".to_owned()),
            false => match pattern.matches_no_repository() {
                Some(error) => Err(format!("it matches no repository: {error}")),
                None => Ok(pattern),
            },
        });
        let problem = |error: String| {
            root.problem(
                ANONYMOUS,
                &format!("has the pattern `{}`, which cannot be used: {error}", cut(text)),
            );
        };
        pattern.map_err(problem).ok()
    });
    Access {
        configured: Configured {
            anonymous: anonymous.collect(),
            admins,
        },
        rules: rules.map(PathBuf::from),
        proxy_header: proxyheader::read(root, has_accounts),
    }
}
