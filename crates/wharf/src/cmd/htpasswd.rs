//! `wharf htpasswd`: Apache's tool, for bcrypt, the only hash that registries accept.
//!
//! Flags can be bundled, options end at the first other word (so that a password may begin with `-`), and messages and
//! exit codes are the same. bcrypt is the default; weaker hashes are refused with a hint.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use wharf_access::{
    htpasswd::{self, EditError, Edited, Verdict},
    password::{self, DEFAULT_COST, MAX_COST, MIN_COST},
};

use crate::prompt;

const USAGE: &str = "\
Usage:
	htpasswd [-cimBDv] [-C cost] passwordfile username
	htpasswd -b[cmBDv] [-C cost] passwordfile username password

	htpasswd -n[imB] [-C cost] username
	htpasswd -nb[mB] [-C cost] username password
 -c  Create a new file.
 -n  Don't update file; display results on stdout.
 -b  Use the password from the command line rather than prompting for it.
 -i  Read password from stdin without verification (for script usage).
 -B  Force bcrypt hashing of the password (default; registries take nothing else).
 -C  Set the computing time used for the bcrypt algorithm
     (higher is more secure but slower, default: 10, valid: 4 to 17).
 -D  Delete the specified user.
 -v  Verify password for the specified user.
 -m, -2, -5, -d, -s, -p  Other hashes: refused, because a registry could not use them.
";

/// Exit codes, as in Apache's tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    FilePermission = 1,
    Syntax = 2,
    Mismatch = 3,
    Interrupted = 4,
    Overflow = 5,
    BadUser = 6,
    InvalidFile = 7,
    NoRandomness = 8,
    NotSupported = 9,
}

/// Exit code and message of a command that failed; the message may be empty.
#[derive(Debug)]
struct Failure(Code, String);

type Result<T> = std::result::Result<T, Failure>;

/// Runs the command, and prints all messages.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    if words.iter().take(1).any(|word| word == "--help" || word == "-h") {
        // A closed standard output is not a failure.
        _ = io::stdout().write_all(USAGE.as_bytes());
        return ExitCode::SUCCESS;
    }
    match Invocation::parse(words).and_then(|invocation| invocation.execute()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, text)) => {
            say(&text);
            ExitCode::from(code as u8)
        }
    }
}

/// The parsed arguments.
#[derive(Debug, PartialEq, Eq)]
struct Invocation {
    task: Task,
    user: String,
    source: Source,
    cost: u8,
}

#[derive(Debug, PartialEq, Eq)]
enum Task {
    Update(PathBuf),
    Create(PathBuf),
    Delete(PathBuf),
    Verify(PathBuf),
    Print,
}

/// Source of the password.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Terminal,
    StandardInput,
    CommandLine(Vec<u8>),
}

impl Invocation {
    fn parse(words: &[OsString]) -> Result<Self> {
        let (flags, words) = Flags::parse(words)?;
        if let Some(weak) = flags.weak {
            return Err(Failure(Code::NotSupported, weak_text(weak)));
        }
        let mut words = words.iter();
        let mut next = || words.next().ok_or_else(usage);
        let task = match flags.task {
            Some('n') => Task::Print,
            Some('c') => Task::Create(next()?.into()),
            Some('D') => Task::Delete(next()?.into()),
            Some('v') => Task::Verify(next()?.into()),
            _ => Task::Update(next()?.into()),
        };
        let user = next()?;
        let source = match flags.source {
            Some('b') => Source::CommandLine(next()?.as_bytes().to_vec()),
            Some('i') => Source::StandardInput,
            _ => Source::Terminal,
        };
        if words.next().is_some() {
            return Err(usage());
        }
        let user = user_name(user)?;
        if !(MIN_COST..=MAX_COST).contains(&flags.cost) {
            let text = format!(
                "htpasswd: Unable to encode with bcrypt: the cost must be between {MIN_COST} and {MAX_COST}"
            );
            return Err(Failure(Code::Mismatch, text));
        }
        Ok(Self {
            task,
            user,
            source,
            cost: flags.cost,
        })
    }

    fn execute(&self) -> Result<()> {
        self.check_file()?;
        let user = &self.user;
        match &self.task {
            Task::Print => {
                let line = format!("{user}:{}\n\n", self.hash()?);
                let printed = io::stdout().write_all(line.as_bytes());
                printed.map_err(|error| {
                    Failure(Code::FilePermission, format!("htpasswd: cannot print: {error}"))
                })?;
            }
            Task::Create(path) => {
                htpasswd::start_anew(path, user, &self.hash()?)?;
                say(&format!("Adding password for user {user}"));
            }
            Task::Update(path) => {
                let word = match htpasswd::set(path, user, &self.hash()?)? {
                    Edited::Updated => "Updating",
                    _ => "Adding",
                };
                say(&format!("{word} password for user {user}"));
            }
            Task::Delete(path) => match htpasswd::remove(path, user)? {
                Edited::NotFound => say(&format!("User {user} not found")),
                _ => say(&format!("Deleting password for user {user}")),
            },
            Task::Verify(path) => match htpasswd::verify(path, user, &self.password()?)? {
                Verdict::Right => say(&format!("Password for user {user} correct.")),
                Verdict::Wrong => {
                    return Err(Failure(Code::Mismatch, "password verification failed".to_owned()));
                }
                Verdict::NotFound => return Err(Failure(Code::BadUser, format!("User {user} not found"))),
            },
        }
        Ok(())
    }

    /// Checks the file before the password is asked for.
    fn check_file(&self) -> Result<()> {
        let problem = match &self.task {
            Task::Print => return Ok(()),
            Task::Create(path) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                if parent.is_none_or(Path::is_dir) {
                    return Ok(());
                }
                format!("htpasswd: cannot create file {}", path.display())
            }
            Task::Update(path) | Task::Delete(path) | Task::Verify(path) => {
                if path.exists() {
                    return Ok(());
                }
                format!(
                    "htpasswd: cannot modify file {}; use '-c' to create it",
                    path.display()
                )
            }
        };
        Err(Failure(Code::FilePermission, problem))
    }

    fn hash(&self) -> Result<String> {
        let password = self.password()?;
        if password.len() > password::PASSWORD_BYTES {
            let (length, limit) = (password.len(), password::PASSWORD_BYTES);
            say(&format!(
                "htpasswd: warning: bcrypt looks at the first {limit} bytes of a password only; this one has {length}"
            ));
        }
        let hash = password::hash(&password, self.cost);
        hash.map_err(|error| Failure(Code::NoRandomness, format!("htpasswd: {error}")))
    }

    fn password(&self) -> Result<Vec<u8>> {
        let is_new = !matches!(self.task, Task::Verify(_));
        let password = match &self.source {
            Source::CommandLine(password) => password.clone(),
            Source::StandardInput => read(prompt::all_of_stdin())?,
            Source::Terminal if is_new => {
                let first = read(prompt::password("New password: "))?;
                if read(prompt::password("Re-type new password: "))? != first {
                    let text = "htpasswd: password verification error".to_owned();
                    return Err(Failure(Code::Mismatch, text));
                }
                first
            }
            Source::Terminal => read(prompt::password("Enter password: "))?,
        };
        if password.len() > prompt::LENGTH_LIMIT {
            return Err(Failure(
                Code::Overflow,
                "htpasswd: password too long (>255)".to_owned(),
            ));
        }
        Ok(password)
    }
}

#[derive(Debug, Default)]
struct Flags {
    /// The flag that selects the task: `c`, `n`, `v` or `D`.
    task: Option<char>,
    /// The flag that selects the source of the password: `b` or `i`; the last one counts.
    source: Option<char>,
    /// The last flag that names a hash, if that is not bcrypt.
    weak: Option<char>,
    cost: u8,
}

impl Flags {
    /// Parses flags as `getopt` does; returns the remaining words, too.
    fn parse(words: &[OsString]) -> Result<(Self, &[OsString])> {
        let mut flags = Self {
            cost: DEFAULT_COST,
            ..Self::default()
        };
        let mut left = words;
        while let [word, rest @ ..] = left {
            let bundle = match word.as_bytes() {
                b"--" => return Ok((flags, rest)),
                [b'-', bundle @ ..] if !bundle.is_empty() => bundle,
                _ => break,
            };
            left = rest;
            for (index, &flag) in bundle.iter().enumerate() {
                if !matches!(flag, b'C' | b'r') {
                    flags.set(char::from(flag))?;
                    continue;
                }
                // The value is the rest of the word, or the next word.
                let value = match &bundle[index + 1..] {
                    [] => {
                        let [value, rest @ ..] = left else {
                            let text = format!(
                                "htpasswd: option requires an argument -- {}\n{USAGE}",
                                char::from(flag)
                            );
                            return Err(Failure(Code::Syntax, text));
                        };
                        left = rest;
                        value.as_bytes()
                    }
                    value => value,
                };
                if flag == b'C' {
                    flags.cost = cost(value)?;
                }
                break;
            }
        }
        Ok((flags, left))
    }

    fn set(&mut self, flag: char) -> Result<()> {
        match flag {
            'c' | 'n' | 'v' | 'D' if self.task.is_some_and(|task| task != flag) => {
                let text = format!("htpasswd: only one of -c -n -v -D may be specified\n{USAGE}");
                return Err(Failure(Code::Syntax, text));
            }
            'c' | 'n' | 'v' | 'D' => self.task = Some(flag),
            'b' | 'i' => self.source = Some(flag),
            'B' => self.weak = None,
            'm' | 'd' | 's' | 'p' | '2' | '5' => self.weak = Some(flag),
            _ => {
                let text = format!("htpasswd: illegal option -- {}\n{USAGE}", flag.escape_debug());
                return Err(Failure(Code::Syntax, text));
            }
        }
        Ok(())
    }
}

fn cost(value: &[u8]) -> Result<u8> {
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.parse::<u32>().ok());
    let number = number.filter(|&number| number > 0).ok_or_else(|| {
        Failure(
            Code::Syntax,
            "htpasswd: argument to -C/-r must be a positive integer".to_owned(),
        )
    })?;
    Ok(u8::try_from(number).unwrap_or(u8::MAX))
}

fn user_name(word: &OsStr) -> Result<String> {
    let Some(name) = word.to_str() else {
        return Err(Failure(
            Code::BadUser,
            "htpasswd: the username is not UTF-8".to_owned(),
        ));
    };
    if name.len() > 255 {
        return Err(Failure(
            Code::Overflow,
            "htpasswd: username too long (> 255)".to_owned(),
        ));
    }
    if name.contains(':') {
        return Err(Failure(
            Code::BadUser,
            "htpasswd: username contains illegal character ':'".to_owned(),
        ));
    }
    Ok(name.to_owned())
}

fn weak_text(flag: char) -> String {
    let name = match flag {
        'm' => "MD5 (`-m`)",
        'd' => "CRYPT (`-d`)",
        's' => "SHA-1 (`-s`)",
        '2' => "SHA-256 (`-2`)",
        '5' => "SHA-512 (`-5`)",
        _ => "plain text (`-p`)",
    };
    format!("htpasswd: {name} is refused: registries take bcrypt alone; use `-B`, or no such flag")
}

fn usage() -> Failure {
    Failure(Code::Syntax, USAGE.to_owned())
}

fn read(password: io::Result<Vec<u8>>) -> Result<Vec<u8>> {
    password.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure(Code::Interrupted, "htpasswd: interrupted".to_owned()),
        _ => Failure(
            Code::FilePermission,
            format!("htpasswd: cannot read the password: {error}"),
        ),
    })
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let code = match &error {
            EditError::Name(..) | EditError::Exists(_) | EditError::Hash(_) => Code::BadUser,
            EditError::Io { .. } | EditError::Changed { .. } => Code::FilePermission,
            EditError::Damaged { path, .. } => {
                let text = format!(
                    "htpasswd: The file {} does not appear to be a valid htpasswd file.",
                    path.display()
                );
                return Self(Code::InvalidFile, text);
            }
        };
        Self(code, format!("htpasswd: {error}"))
    }
}

fn say(text: &str) {
    // A closed standard error leaves no other way to report.
    _ = writeln!(io::stderr(), "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> std::result::Result<Invocation, Code> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Invocation::parse(&words).map_err(|Failure(code, _)| code)
    }

    #[test]
    fn flags_bundle_in_any_order() {
        let expected = |task, cost| Invocation {
            task,
            user: "alice".to_owned(),
            source: Source::CommandLine(b"-pw".to_vec()),
            cost,
        };
        for line in [
            "-Bbn alice -pw",
            "-nbB alice -pw",
            "-n -b alice -pw",
            "-bn -- alice -pw",
            "-mBbn alice -pw",
        ] {
            assert_eq!(parsed(line), Ok(expected(Task::Print, 10)), "{line}");
        }
        for line in [
            "-nbBC 5 alice -pw",
            "-nbBC5 alice -pw",
            "-C 05 -nb alice -pw",
            "-r 7 -bnC5 alice -pw",
        ] {
            assert_eq!(parsed(line), Ok(expected(Task::Print, 5)), "{line}");
        }
        assert_eq!(
            parsed("-cBb file alice -pw"),
            Ok(expected(Task::Create("file".into()), 10))
        );
        assert_eq!(
            parsed("-Bb file alice -pw"),
            Ok(expected(Task::Update("file".into()), 10))
        );
        assert_eq!(
            parsed("-vb file alice -pw"),
            Ok(expected(Task::Verify("file".into()), 10))
        );
        assert_eq!(parsed("-D file alice").unwrap().task, Task::Delete("file".into()));
        assert_eq!(parsed("-Bic file alice").unwrap().source, Source::StandardInput);
        assert_eq!(parsed("-Bc file alice").unwrap().source, Source::Terminal);
    }

    #[test]
    fn mistakes_have_the_codes_of_apache() {
        for (line, code) in [
            ("", Code::Syntax),
            ("-Bbn alice", Code::Syntax),
            ("-Bbn alice a b", Code::Syntax),
            ("-nc f alice", Code::Syntax),
            ("-x f alice", Code::Syntax),
            ("-C", Code::Syntax),
            ("-nbC x alice pw", Code::Syntax),
            ("-nbC 3 alice pw", Code::Mismatch),
            ("-nbC 999 alice pw", Code::Mismatch),
            ("-nb a:b pw", Code::BadUser),
            ("-nbm alice pw", Code::NotSupported),
            ("-nbB5 alice pw", Code::NotSupported),
        ] {
            assert_eq!(parsed(line), Err(code), "{line}");
        }
    }
}
