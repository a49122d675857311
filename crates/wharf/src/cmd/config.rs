//! `wharf config`: looks at the configuration without starting.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::config;

/// Says what is wrong with it. Fails if the server would not start with it.
pub(crate) fn check(file: Option<&Path>) -> ExitCode {
    let examined = config::examine(file);
    say(&examined.remarks());
    code(examined.is_sound())
}

/// Says what counts in the end, and with `origins` where it comes from. Problems go to stderr.
pub(crate) fn show(file: Option<&Path>, origins: bool) -> ExitCode {
    let examined = config::examine(file);
    say(&examined.yaml(origins));
    if !examined.is_sound() {
        // There is nobody else to tell.
        _ = io::stderr().lock().write_all(examined.remarks().as_bytes());
    }
    code(examined.is_sound())
}

/// Lists all keys.
pub(crate) fn keys() -> ExitCode {
    say(&config::documentation());
    ExitCode::SUCCESS
}

fn code(is_sound: bool) -> ExitCode {
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn say(text: &str) {
    // Whoever closes stdout has read enough.
    _ = io::stdout().lock().write_all(text.as_bytes());
}
