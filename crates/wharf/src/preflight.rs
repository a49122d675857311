//! What the server needs of this machine in order to start: the files and directories that its settings name. It changes
//! nothing, and finds the same faults as a start does.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use wharf_access::{
    htpasswd::Htpasswd,
    rules::{RulesFile, Weight},
};
use wharf_client::outgoing;
use wharf_http::Tls;

use crate::{
    cloud,
    config::{Auth, Engine, Listen, Settings},
    elsewhere, nesting, upstreams,
};

/// Faults, and doubts with which the server starts.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    fn add(&mut self, more: Self) {
        self.problems.extend(more.problems);
        self.warnings.extend(more.warnings);
    }
}

/// Looks at everything that `settings` name.
pub(crate) fn look(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    if let Some(tls) = &settings.tls {
        match Tls::inspect(tls) {
            Ok(certificate) => findings.warnings.extend(certificate.warnings),
            Err(error) => findings.problems.push(error.to_string()),
        }
    }
    findings.add(accounts(settings));
    if let Some(path) = &settings.access.rules {
        rules_file(path, &mut findings);
    }
    findings.problems.extend(store(settings));
    findings.warnings.extend(nested(settings));
    findings.add(environment(settings));
    findings
}

/// Looks at the password file, or at the keys of the token server.
pub(crate) fn accounts(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    match &settings.auth {
        Some(Auth::Htpasswd(htpasswd)) => findings.problems.extend(password_file(&htpasswd.path)),
        Some(Auth::Token(token)) => match token.keys.read() {
            Ok((_, warnings)) => findings.warnings.extend(warnings),
            Err(error) => findings.problems.push(error.to_string()),
        },
        None => {}
    }
    findings
}

/// Looks at the data directory, or at the credentials of the bucket; the problem.
pub(crate) fn store(settings: &Settings) -> Option<String> {
    match &settings.storage {
        Engine::Filesystem { root } => data_directory(root, settings.server.read_only),
        Engine::Cloud(bucket) => cloud::look(bucket).err().map(|error| format!("{error:#}")),
        Engine::S3(_) | Engine::InMemory => None,
    }
}

/// Looks for a registry below a data directory that has none; the warning.
pub(crate) fn nested(settings: &Settings) -> Option<String> {
    match &settings.storage {
        Engine::Filesystem { root } => nesting::warning(root),
        Engine::S3(_) | Engine::Cloud(_) | Engine::InMemory => None,
    }
}

/// Looks at everything else: keys of servers in front of the store, files of mirrors, the unix socket, authorities of webhooks.
pub(crate) fn environment(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    if let Err(error) = elsewhere::open(settings) {
        findings.problems.push(format!("{error:#}"));
    }
    findings.problems.extend(upstreams::problems(settings));
    if let Listen::Unix(path, _) = &settings.listen {
        findings.problems.extend(socket(path));
    }
    if let Some(path) = &settings.admin.socket {
        findings.problems.extend(socket(path));
    }
    if settings.webhooks.needs_authorities()
        && let Err(error) = outgoing::load_system_authorities()
    {
        findings.problems.push(error.to_string());
    }
    findings
}

fn password_file(path: &Path) -> Option<String> {
    match path.try_exists() {
        // A start creates the file, and the directories above it.
        Ok(false) => creatable(path).err().map(|reason| {
            format!(
                "there is no password file `{}`, and it cannot be created: {reason}",
                path.display()
            )
        }),
        _ => Htpasswd::check(path).err().map(|error| error.to_string()),
    }
}

fn rules_file(path: &Path, findings: &mut Findings) {
    let reading = match RulesFile::check(path) {
        Ok(reading) => reading,
        Err(error) => return findings.problems.push(error.to_string()),
    };
    for problem in reading.problems {
        let text = format!("`{}`: {problem}", path.display());
        match problem.weight {
            Weight::Error => findings.problems.push(text),
            Weight::Warning => findings.warnings.push(text),
            Weight::Note => {}
        }
    }
}

fn data_directory(root: &Path, is_only_read: bool) -> Option<String> {
    let cannot = |reason: String| format!("the data directory `{}` cannot be used: {reason}", root.display());
    match root.metadata() {
        Ok(found) if !found.is_dir() => Some(cannot("it is not a directory".to_owned())),
        Ok(_) => {
            let needed = match is_only_read {
                true => Access::READ_OK | Access::EXEC_OK,
                false => Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
            };
            access(root, needed)
                .err()
                .map(|error| cannot(io::Error::from(error).to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => creatable(root).err().map(cannot),
        Err(error) => Some(cannot(error.to_string())),
    }
}

fn socket(path: &Path) -> Option<String> {
    let directory = parent(path);
    let result = access(&directory, Access::WRITE_OK | Access::EXEC_OK);
    result.err().map(|error| {
        format!(
            "the unix socket `{}` cannot be made in `{}`: {}",
            path.display(),
            directory.display(),
            io::Error::from(error)
        )
    })
}

/// Whether a file or directory, and the directories above it that do not exist, could be created at `path`.
fn creatable(path: &Path) -> Result<(), String> {
    let mut above = parent(path);
    while !above.exists() && above.parent().is_some() {
        above = parent(&above);
    }
    if !above.is_dir() {
        return Err(format!("`{}` is not a directory", above.display()));
    }
    let result = access(&above, Access::WRITE_OK | Access::EXEC_OK);
    result.map_err(|error| format!("`{}`: {}", above.display(), io::Error::from(error)))
}

/// The directory of `path`; that of a name alone is the current one.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) => PathBuf::from("."),
        None => path.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes the files that are looked at")]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_created_is_no_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "").unwrap();
        assert_eq!(data_directory(directory.path(), false), None);
        assert_eq!(data_directory(&path("a/b/c"), false), None);
        assert_eq!(password_file(&path("a/htpasswd")), None);
        assert_eq!(socket(&path("socket")), None);
        let expected = [
            (data_directory(&path("file"), false), "is not a directory"),
            (data_directory(&path("file/data"), false), "Not a directory"),
            (password_file(directory.path()), "cannot read the password file"),
            (password_file(&path("file/a/htpasswd")), "ot a directory"),
            (socket(&path("gone/socket")), "No such file or directory"),
        ];
        for (found, expected) in expected {
            assert!(
                found.as_ref().is_some_and(|found| found.contains(expected)),
                "{found:?}"
            );
        }
        assert!(creatable(Path::new("data")).is_ok());
    }

    #[test]
    fn all_problems_of_the_rules_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.yml");
        let look = || {
            let mut findings = Findings::default();
            rules_file(&path, &mut findings);
            (findings.problems.join("\n"), findings.warnings.join("\n"))
        };
        assert!(look().0.contains("cannot read the file of access rules"));
        let text = "rules:\n- {accounts: a, repositories: B, allow: pul}\n- {accounts: '@ci', repositories: b, allow: pull}\n";
        std::fs::write(&path, text).unwrap();
        let (problems, warnings) = look();
        for part in [
            "rules.yml`: line 2: `pul` is no action; did you mean `pull`?",
            "line 3: there is no group `ci`",
        ] {
            assert!(problems.contains(part), "{problems}");
        }
        assert!(
            warnings.contains("line 2: `B` matches no name of a repository"),
            "{warnings}"
        );
    }
}
