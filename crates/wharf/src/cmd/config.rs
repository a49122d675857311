//! `wharf config`: checks and shows the configuration without starting the server.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::{config, preflight};

/// Prints the problems and warnings of the configuration and, with `files`, of the files that it names. Fails if the server
/// would not start with it.
pub(crate) fn check(file: Option<&Path>, files: bool) -> ExitCode {
    let mut examined = config::examine(file);
    if files && examined.is_valid() {
        let findings = preflight::look(examined.settings());
        examined.add(findings.problems, findings.warnings);
    }
    print(&examined.remarks());
    code(examined.is_valid())
}

/// Prints the effective values, with `origins` also the origin of each. Problems go to stderr.
pub(crate) fn show(file: Option<&Path>, origins: bool) -> ExitCode {
    let examined = config::examine(file);
    print(&examined.yaml(origins));
    if !examined.is_valid() {
        // A closed stderr leaves no other way to report.
        _ = io::stderr().lock().write_all(examined.remarks().as_bytes());
    }
    code(examined.is_valid())
}

/// Lists all keys.
pub(crate) fn keys() -> ExitCode {
    print(&config::documentation());
    ExitCode::SUCCESS
}

fn code(is_valid: bool) -> ExitCode {
    if is_valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(text: &str) {
    // A reader that closes the pipe early, such as `head`, is not a failure.
    _ = io::stdout().lock().write_all(text.as_bytes());
}
