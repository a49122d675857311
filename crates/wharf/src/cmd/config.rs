//! `wharf config`: looks at the configuration without starting.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::config;

/// Prints its problems and warnings. Fails if the server would not start with it.
pub(crate) fn check(file: Option<&Path>) -> ExitCode {
    let examined = config::examine(file);
    print(&examined.remarks());
    code(examined.is_sound())
}

/// Prints the values that count in the end, with `origins` also where each comes from. Problems go to stderr.
pub(crate) fn show(file: Option<&Path>, origins: bool) -> ExitCode {
    let examined = config::examine(file);
    print(&examined.yaml(origins));
    if !examined.is_sound() {
        // A closed stderr leaves no other way to report.
        _ = io::stderr().lock().write_all(examined.remarks().as_bytes());
    }
    code(examined.is_sound())
}

/// Lists all keys.
pub(crate) fn keys() -> ExitCode {
    print(&config::documentation());
    ExitCode::SUCCESS
}

fn code(is_sound: bool) -> ExitCode {
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(text: &str) {
    // A reader that closes the pipe early, such as `head`, is no failure.
    _ = io::stdout().lock().write_all(text.as_bytes());
}
