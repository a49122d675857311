//! The state of a password file: written to the log once for each change, and available on demand.

use std::{io, path::Path};

use super::list::{Damage, Finding};

/// The most findings that are listed one by one.
const FINDINGS: usize = 10;

/// The state of a password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Number of users that can log in.
    pub users: usize,
    /// Why the current file is not used; the last good list is in force.
    pub problem: Option<String>,
    /// Problems of single lines of the list that is in force.
    pub findings: Vec<String>,
}

/// The state that was reported last.
#[derive(Debug, Default)]
pub(super) struct Report {
    users: usize,
    problem: Option<String>,
    findings: Vec<String>,
}

impl Report {
    pub(super) fn status(&self, path: &Path) -> Status {
        let problem = self
            .problem
            .as_ref()
            .map(|problem| format!("`{}`: {problem}", path.display()));
        Status {
            users: self.users,
            problem,
            findings: self.findings.clone(),
        }
    }

    /// Reports that the file was read and has new content. `users` is how many are in force now.
    pub(super) fn read(&mut self, path: &Path, users: usize, findings: Result<Vec<Finding>, Damage>) {
        let findings = match findings {
            Ok(findings) => findings,
            Err(damage) => return self.complain(path, format!("it is damaged: {damage}"), users),
        };
        let path = path.display();
        let more = findings.len().saturating_sub(FINDINGS);
        self.findings = findings.iter().take(FINDINGS).map(Finding::to_string).collect();
        if more > 0 {
            self.findings.push(format!("{more} more lines like these"));
        }
        for finding in &self.findings {
            tracing::warn!("password file `{path}`, {finding}");
        }
        if users == 0 {
            tracing::warn!("password file `{path}` has no users: no user can log in");
        } else {
            tracing::info!(users, "read the password file `{path}`");
        }
        self.users = users;
        self.problem = None;
    }

    /// Reports that the file cannot be read.
    pub(super) fn unreadable(&mut self, path: &Path, error: &io::Error, users: usize) {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "it is gone".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        self.complain(path, what, users);
    }

    fn complain(&mut self, path: &Path, problem: String, users: usize) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(
                "password file `{}`: {problem}; the last good list with {users} users stays in force",
                path.display()
            );
        }
        self.users = users;
        self.problem = Some(problem);
    }
}
