//! Reading passwords from a terminal and from standard input.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
};

use rustix::{
    fs::{Mode, OFlags},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};

/// Longest password in bytes, as in Apache's tool.
pub(crate) const LENGTH_LIMIT: usize = 255;

/// Bytes of a secret for another server.
const SECRET_LIMIT: u64 = 64 << 10;

/// Asks for a password of this registry on the terminal, without echo; without a terminal, reads a line of standard input.
/// What is longer than the limit comes with one byte more than that.
pub(crate) fn password(question: &str) -> io::Result<Vec<u8>> {
    hidden_line(question, LENGTH_LIMIT)
}

/// The same for a secret of another server: tokens have thousands of bytes.
pub(crate) fn secret(question: &str) -> io::Result<Vec<u8>> {
    let limit = usize::try_from(SECRET_LIMIT).unwrap_or(usize::MAX);
    let secret = hidden_line(question, limit)?;
    match secret.len() > limit {
        true => Err(io::Error::other(format!(
            "a password of more than {SECRET_LIMIT} bytes"
        ))),
        false => Ok(secret),
    }
}

fn hidden_line(question: &str, limit: usize) -> io::Result<Vec<u8>> {
    match rustix::fs::open(
        "/dev/tty",
        OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY,
        Mode::empty(),
    ) {
        Ok(terminal) => ask(File::from(terminal), question, limit),
        Err(_) => {
            io::stderr().write_all(question.as_bytes())?;
            line_of(&mut io::stdin(), limit)
        }
    }
}

/// A secret for another server, which is all of standard input without the newline at its end, as docker reads it: keys
/// of service accounts have several lines, and tokens thousands of bytes.
pub(crate) fn secret_of_stdin() -> io::Result<Vec<u8>> {
    secret_of(io::stdin())
}

/// One line of standard input, without its line end.
pub(crate) fn line_of_stdin() -> io::Result<Vec<u8>> {
    line_of(&mut io::stdin(), LENGTH_LIMIT)
}

/// All of standard input, without the newline at its end, as Apache's `-i` reads it.
pub(crate) fn all_of_stdin() -> io::Result<Vec<u8>> {
    let mut password = Vec::new();
    io::stdin()
        .take(LENGTH_LIMIT as u64 + 3)
        .read_to_end(&mut password)?;
    while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        password.pop();
    }
    Ok(password)
}

fn secret_of(input: impl io::Read) -> io::Result<Vec<u8>> {
    let mut secret = Vec::new();
    input.take(SECRET_LIMIT + 1).read_to_end(&mut secret)?;
    if secret.len() as u64 > SECRET_LIMIT {
        return Err(io::Error::other(format!(
            "a password of more than {SECRET_LIMIT} bytes on standard input; is it the right file?"
        )));
    }
    if secret.ends_with(b"\n") {
        secret.pop();
    }
    if secret.ends_with(b"\r") {
        secret.pop();
    }
    Ok(secret)
}

/// Reads no byte beyond the newline: the next question is answered by the next line.
fn line_of(input: &mut impl io::Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() <= limit && input.read(&mut byte)? > 0 && byte != *b"\n" {
        line.extend(byte);
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(line)
}

/// The terminal without echo and line editing; its previous mode is restored when this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        // Keys that interrupt arrive as bytes: the terminal is restored before the process ends.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // The terminal may be gone; then the failure cannot be reported.
        _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn ask(mut terminal: File, question: &str, limit: usize) -> io::Result<Vec<u8>> {
    let typed = {
        // Before the question: keys that are typed right after it must be neither shown nor lost.
        let silent = Silent::new(&terminal)?;
        let mut terminal = silent.terminal;
        terminal.write_all(question.as_bytes())?;
        keys(terminal, limit)
    };
    terminal.write_all(b"\n")?;
    typed
}

fn keys(mut terminal: impl io::Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut key = [0];
    while terminal.read(&mut key)? > 0 {
        match key[0] {
            b'\n' | b'\r' | 0x04 => break,
            // Control-C and control-backslash.
            0x03 | 0x1c => return Err(io::ErrorKind::Interrupted.into()),
            // Backspace takes a whole character.
            0x08 | 0x7f => while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {},
            0x15 => line.clear(),
            byte if line.len() <= limit => line.push(byte),
            _ => {}
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_may_be_long_and_have_lines() {
        let long = "x".repeat(3000);
        for (input, secret) in [
            (&*format!("{long}\r\n"), &*long),
            ("{\n\"key\": 1\n}\n", "{\n\"key\": 1\n}"),
            ("\n", ""),
        ] {
            assert_eq!(secret_of(input.as_bytes()).unwrap(), secret.as_bytes());
        }
        assert!(secret_of(io::repeat(b'x')).is_err());
    }

    #[test]
    fn a_token_that_is_typed_or_pasted_is_not_cut() {
        let token = "x".repeat(3000);
        assert_eq!(
            keys(format!("{token}\r").as_bytes(), 4000).unwrap(),
            token.as_bytes()
        );
        assert_eq!(
            keys(format!("{token}\r").as_bytes(), LENGTH_LIMIT).unwrap().len(),
            LENGTH_LIMIT + 1
        );
    }

    #[test]
    fn lines_are_taken_one_by_one() {
        let mut input: &[u8] = b"first\r\n\nlast";
        assert_eq!(line_of(&mut input, LENGTH_LIMIT).unwrap(), b"first");
        assert_eq!(line_of(&mut input, LENGTH_LIMIT).unwrap(), b"");
        assert_eq!(line_of(&mut input, LENGTH_LIMIT).unwrap(), b"last");
        assert_eq!(line_of(&mut input, LENGTH_LIMIT).unwrap(), b"");
    }
}
