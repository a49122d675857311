//! Users and their passwords, access rules, and the keys of a token server.

use std::{path::Path, time::Duration};

use wharf_access::{
    Verb, htpasswd,
    rules::{Account, Effect, Rule, Rules, RulesFile, Weight},
};

use super::report::Report;
use crate::{
    config::{Auth, Settings},
    preflight,
};

const USERS: &str = "users";
const RULES: &str = "rules";

/// How long well-known passwords are tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at the accounts, and at their rules.
pub(super) fn look(settings: &Settings, report: &mut Report) {
    let findings = preflight::accounts(settings);
    match &settings.auth {
        None => report.warning(
            USERS,
            "no client has to log in: each that can connect may push and delete",
            "`wharf user add NAME --file FILE`, and `auth.htpasswd.path: FILE`",
        ),
        Some(Auth::Htpasswd(htpasswd)) if findings.problems.is_empty() => users(&htpasswd.path, report),
        Some(Auth::Htpasswd(_)) => {
            for problem in findings.problems {
                let remedy =
                    "correct `auth.htpasswd.path`, or let the user that the server runs as read that file";
                report.problem(USERS, problem, remedy);
            }
        }
        Some(Auth::Token(token)) => {
            let remedy = "take the keys from the token server that `auth.token.realm` names";
            let is_good = findings.problems.is_empty() && findings.warnings.is_empty();
            for problem in findings.problems {
                report.problem(USERS, problem, remedy);
            }
            for warning in findings.warnings {
                report.warning(USERS, warning, remedy);
            }
            if is_good {
                let issuer = &token.settings.issuer;
                report.ok(
                    USERS,
                    format!("logged in by the token server `{issuer}`, whose keys can be read"),
                );
            }
        }
    }
    let of_file = settings
        .access
        .rules
        .as_deref()
        .and_then(|path| rules(path, report));
    anonymous_pulls(settings, of_file.as_ref(), report);
}

fn users(path: &Path, report: &mut Report) {
    let file = path.display();
    if !path.exists() {
        return report.ok(
            USERS,
            format!("there is no `{file}`; the server makes it, with one user"),
        );
    }
    let users = match htpasswd::list_users(path) {
        Ok(users) => users,
        Err(error) => {
            let remedy = format!("mend the file; `wharf user add NAME --file {file}` makes a line");
            return report.problem(USERS, error.to_string(), remedy);
        }
    };
    for user in &users {
        if let Some(problem) = &user.problem {
            report.warning(
                USERS,
                format!("`{}` cannot log in: {problem}", user.name.escape_debug()),
                format!("wharf user passwd {} --file {file}", user.name),
            );
        }
    }
    let count = users.iter().filter(|user| user.problem.is_none()).count();
    if count == 0 {
        let remedy = format!("wharf user add NAME --file {file}");
        return report.problem(
            USERS,
            format!("no user can log in: `{file}` has none that is usable"),
            remedy,
        );
    }
    let weak = match htpasswd::weak_passwords(path, PATIENCE) {
        Ok(weak) => weak,
        Err(error) => {
            let remedy = format!("mend `{file}`: each line is NAME:HASH");
            return report.problem(USERS, error.to_string(), remedy);
        }
    };
    for user in &weak.users {
        report.problem(
            USERS,
            format!(
                "the password of `{}` is well known and easy to guess",
                user.escape_debug()
            ),
            format!("wharf user passwd {user} --file {file}"),
        );
    }
    if report.worst_of(USERS).is_none() {
        let plural = if count == 1 { "" } else { "s" };
        let not_all = match weak.is_complete {
            true => "no password is well known",
            false => "there are too many to try well-known passwords on all",
        };
        report.ok(USERS, format!("{count} user{plural} in `{file}`; {not_all}"));
    }
}

/// Looks whether Docker can pull what clients without an account may: with its own image store, the default before version 29, it
/// does not go on without a password where it is asked for one, and fetches a token where it is asked for that.
fn anonymous_pulls(settings: &Settings, of_file: Option<&Rules>, report: &mut Report) {
    if settings.tokens.is_some() || !matches!(settings.auth, Some(Auth::Htpasswd(_))) {
        return;
    }
    let rules = Rules::effective(of_file, &settings.access.configured);
    // From some address at least: which clients there are is not known.
    let lets_pull = |rule: &Rule| {
        let allowed = match rule.effect {
            Effect::Allow(verbs) | Effect::Exactly(verbs) => verbs,
            Effect::Deny(_) => return false,
        };
        allowed.has(Verb::Pull) && rule.accounts.contains(&Account::Anonymous)
    };
    if rules.list().iter().any(lets_pull) {
        report.warning(
            RULES,
            "clients without an account may pull, and Docker with its own image store cannot, where passwords are asked for",
            "set `access.tokens.enabled: true`; containerd, podman and skopeo pull without it",
        );
    }
}

/// The rules of the file, as far as they can be read.
fn rules(path: &Path, report: &mut Report) -> Option<Rules> {
    let reading = match RulesFile::check(path) {
        Ok(reading) => reading,
        Err(error) => {
            report.problem(RULES, error.to_string(), "correct `access.rules`");
            return None;
        }
    };
    for problem in &reading.problems {
        let text = match problem.line {
            0 => format!("{}: {}", path.display(), problem.text),
            line => format!("{}:{line}: {}", path.display(), problem.text),
        };
        let remedy = problem.hint.clone();
        let remedy = remedy
            .unwrap_or_else(|| format!("correct it; `wharf access check {}` tells more", path.display()));
        match problem.weight {
            Weight::Error => report.problem(RULES, text, remedy),
            Weight::Warning => report.warning(RULES, text, remedy),
            Weight::Note => {}
        }
    }
    if report.worst_of(RULES).is_none() {
        let count = reading.rules.list().len();
        let plural = if count == 1 { "" } else { "s" };
        report.ok(RULES, format!("{count} rule{plural} in `{}`", path.display()));
    }
    Some(reading.rules)
}
