//! The question before something is deleted.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

/// The exit status of a command that was not told to go on.
const REFUSED: u8 = 2;

/// The answer to a question.
pub(super) enum Consent {
    Given,
    /// The command ends with this status.
    Refused(ExitCode),
}

/// Asks on the terminal, unless the command was told `yes`. Without a terminal the answer is no.
pub(super) fn ask(question: &str, yes: bool) -> anyhow::Result<Consent> {
    if yes {
        return Ok(Consent::Given);
    }
    let mut stderr = io::stderr().lock();
    if !io::stdin().is_terminal() {
        stderr.write_all(
            b"wharf: nothing was deleted: there is no terminal to ask at; `--yes` deletes without asking\n",
        )?;
        return Ok(Consent::Refused(ExitCode::from(REFUSED)));
    }
    stderr.write_all(format!("{question} [y/N] ").as_bytes())?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(Consent::Given),
        _ => {
            stderr.write_all(b"nothing was deleted\n")?;
            Ok(Consent::Refused(ExitCode::from(REFUSED)))
        }
    }
}
