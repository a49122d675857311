//! From the bytes of a password file to its users, and what is wrong with it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use super::memory::Memory;
use crate::{
    bcrypt::{Bcrypt, NotUsable},
    stamp::Stamp,
};

/// The users of one state of the file.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<Arc<str>, Arc<User>>,
    /// The costs of all hashes, for decoys.
    costs: Vec<u8>,
}

/// One user.
#[derive(Debug)]
pub(super) struct User {
    name: Arc<str>,
    hash: Bcrypt,
    stamp: Stamp,
    /// The remembered password; it is dropped with the line.
    memory: Memory,
    /// Whether the operator was warned of a well-known password.
    warned: OnceLock<()>,
}

/// A problem that the operator should mend. Never holds the text behind a name, which may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Number of the line, counted from 1.
    pub(super) line: usize,
    pub(super) what: What,
}

/// The kind of problem of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    NoColon,
    NoName,
    NotUtf8,
    Unusable(String, NotUsable),
    /// Something stands behind the hash that is no entry.
    Trailing(String),
    /// These names stand on one line; all are used.
    Glued(Vec<String>),
    /// This name stood on an earlier line.
    Repeated(String, usize),
    /// The file has this encoding.
    Encoding(&'static str),
}

/// Why a file cannot be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Binary,
    Utf16,
    NoEntry,
}

impl Users {
    /// Reads a file. Users with an unchanged line are taken from `old`, with their remembered passwords.
    pub(super) fn read(bytes: &[u8], old: &Self) -> Result<(Self, Vec<Finding>), Damage> {
        let Text { bytes, encoding } = decoded(bytes)?;
        let mut reader = Reader::default();
        if let Some(encoding) = encoding {
            reader.find(1, What::Encoding(encoding));
        }
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            reader.line(number, line);
        }
        if reader.names.is_empty() && reader.has_text {
            return Err(Damage::NoEntry);
        }
        let mut users = Self::default();
        for (name, (_, hash)) in reader.names {
            let Some(hash) = hash else { continue };
            users.costs.push(hash.cost());
            let user = match old.by_name.get(&*name) {
                Some(user) if user.hash == hash => Arc::clone(user),
                _ => Arc::new(User {
                    stamp: Stamp::of(&name, &hash),
                    name: name.into(),
                    hash,
                    memory: Memory::default(),
                    warned: OnceLock::new(),
                }),
            };
            users.by_name.insert(Arc::clone(&user.name), user);
        }
        users.costs.sort_unstable();
        Ok((users, reader.findings))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// One of the costs in the file, chosen by `number`.
    pub(super) fn cost_by(&self, number: u64) -> u8 {
        let count = self.costs.len() as u64;
        let index = number
            .checked_rem(count)
            .and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.costs.get(index))
            .copied()
            .unwrap_or(crate::password::DEFAULT_COST)
    }
}

impl User {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn hash(&self) -> &Bcrypt {
        &self.hash
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Warns the operator, once for each line, that the password is a well-known one.
    pub(super) fn warn_of_weak_password(&self) {
        if self.warned.set(()).is_ok() {
            let name = &self.name;
            tracing::warn!(
                "the password of user `{}` is well known and easy to guess; change it with `wharf user passwd`",
                name.escape_debug()
            );
        }
    }
}

/// A file's text, and the encoding if it is worth mentioning.
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) encoding: Option<&'static str>,
}

/// Converts a file to UTF-8; leaves it unchanged when it has no byte order mark.
pub(super) fn decoded(bytes: &[u8]) -> Result<Text, Damage> {
    let utf16 = |units: &[u8], order: fn([u8; 2]) -> u16| {
        let (pairs, rest) = units.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|&pair| order(pair))).collect();
        match text {
            Ok(text) if rest.is_empty() && !text.contains('\0') => Ok(text.into_bytes()),
            _ => Err(Damage::Utf16),
        }
    };
    let (bytes, encoding) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => (rest.to_vec(), Some("UTF-8 with a byte order mark")),
        [0xff, 0xfe, rest @ ..] => (utf16(rest, u16::from_le_bytes)?, Some("UTF-16")),
        [0xfe, 0xff, rest @ ..] => (utf16(rest, u16::from_be_bytes)?, Some("UTF-16")),
        _ => (bytes.to_vec(), None),
    };
    if bytes.contains(&0) {
        return Err(Damage::Binary);
    }
    Ok(Text { bytes, encoding })
}

/// A parsed line.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// One entry, or several whose newlines are missing. A hash that is not usable says why.
    Entries(Vec<(&'a str, Result<Bcrypt, What>)>),
    /// The line is no entry.
    Not(What),
}

/// What may stand around an entry: white space, and the byte order marks of files that were put one behind the other.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// Parses a line. Space around it is ignored, as in registry:2.
pub(super) fn line(line: &[u8]) -> Line<'_> {
    let Ok(line) = std::str::from_utf8(line) else {
        return not_utf8(line);
    };
    let line = line.trim_matches(is_space);
    if line.is_empty() || line.starts_with('#') {
        return Line::Nothing;
    }
    let mut entries = Vec::new();
    let mut rest = line;
    // A hash has a fixed length and no colon in it, so where it ends is beyond doubt. What stands behind one is taken
    // for entries only if all of it is: then nothing else can have been meant.
    // A comment may have lost its newline as well: a user that is commented out there stays disabled.
    while !rest.is_empty() && !rest.starts_with('#') {
        let Some((name, secret)) = rest.split_once(':') else {
            return match entries.first() {
                Some(&(name, _)) => Line::Entries(vec![(name, Err(What::Trailing(name.to_owned())))]),
                None => Line::Not(What::NoColon),
            };
        };
        match (Bcrypt::parse(secret), entries.first()) {
            (Ok((hash, behind)), _) => {
                entries.push((name, Ok(hash)));
                // A lone carriage return is how very old editors end a line.
                rest = behind.trim_start_matches(is_space);
            }
            (Err(_), Some(&(first, _))) => {
                return Line::Entries(vec![(first, Err(What::Trailing(first.to_owned())))]);
            }
            (Err(why), None) => {
                entries.push((name, Err(What::Unusable(name.to_owned(), why))));
                rest = "";
            }
        }
    }
    if entries.iter().any(|(name, _)| name.is_empty()) {
        return Line::Not(What::NoName);
    }
    Line::Entries(entries)
}

/// A line that is no text. Its name may be: then it is that user's line, and makes the user's hash unusable.
fn not_utf8(line: &[u8]) -> Line<'_> {
    let line = line.trim_ascii();
    let name = line
        .split(|&byte| byte == b':')
        .next()
        .filter(|name| name.len() < line.len());
    match name.map(std::str::from_utf8) {
        Some(Ok(name)) if !name.is_empty() && !name.starts_with('#') => {
            let why = NotUsable::NotBcrypt("bytes that are no text");
            Line::Entries(vec![(name, Err(What::Unusable(name.to_owned(), why)))])
        }
        _ => Line::Not(What::NotUtf8),
    }
}

/// The user name of a line; of several entries on it, that of the first. `None` when the line is no entry.
pub(super) fn name_of(bytes: &[u8]) -> Option<&str> {
    match line(bytes) {
        Line::Entries(entries) => entries.first().map(|&(name, _)| name),
        Line::Nothing | Line::Not(_) => None,
    }
}

#[derive(Default)]
struct Reader {
    /// The last line of each name, and its hash if it is usable.
    names: HashMap<String, (usize, Option<Bcrypt>)>,
    findings: Vec<Finding>,
    has_text: bool,
}

impl Reader {
    fn line(&mut self, number: usize, bytes: &[u8]) {
        let entries = match line(bytes) {
            Line::Nothing => return,
            Line::Not(what) => {
                self.has_text = true;
                return self.find(number, what);
            }
            Line::Entries(entries) => entries,
        };
        if entries.len() > 1 {
            let names = entries.iter().map(|(name, _)| (*name).to_owned()).collect();
            self.find(number, What::Glued(names));
        }
        for (name, hash) in entries {
            let hash = hash.map_err(|what| self.find(number, what)).ok();
            // The last one counts, as in registry:2; also when it is not usable.
            if let Some((earlier, _)) = self.names.insert(name.to_owned(), (number, hash)) {
                self.find(number, What::Repeated(name.to_owned(), earlier));
            }
        }
    }

    fn find(&mut self, line: usize, what: What) {
        self.findings.push(Finding { line, what });
    }
}

/// A name from the file, cut and escaped: a line may hold anything.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        let shown: String = characters.by_ref().take(40).collect();
        let rest = if characters.next().is_some() { "…" } else { "" };
        write!(f, "`{}{rest}`", shown.escape_debug())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line;
        match &self.what {
            What::NoColon => write!(
                f,
                "line {number}: no `:`, so it is no entry; write `name:hash`, as `wharf htpasswd` does"
            ),
            What::NoName => write!(f, "line {number}: no name before the `:`; the entry is not used"),
            What::NotUtf8 => write!(f, "line {number}: not UTF-8; the entry is not used"),
            What::Unusable(name, why) => write!(f, "line {number}: user {} {why}", Name(name)),
            What::Trailing(name) => write!(
                f,
                "line {number}: something that is no entry stands behind the hash of user {}; user disabled",
                Name(name)
            ),
            What::Glued(names) => {
                let names: Vec<String> = names.iter().map(|name| Name(name).to_string()).collect();
                write!(
                    f,
                    "line {number}: the newline between the entries of {} is missing; all of them are used, and the next `wharf user` command mends the line",
                    names.join(" and ")
                )
            }
            What::Repeated(name, earlier) => {
                write!(
                    f,
                    "line {number}: user {} stood on line {earlier} already; this line counts",
                    Name(name)
                )
            }
            What::Encoding(encoding) => write!(
                f,
                "the file is {encoding}; it is read all the same, but registry:2 could not: save it as UTF-8 without a byte order mark"
            ),
        }
    }
}

impl fmt::Display for NotUsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBcrypt(what) => {
                write!(f, "has {what}, not bcrypt; user disabled; `wharf user passwd` sets a new password")
            }
            Self::Malformed => f.write_str("has a damaged bcrypt hash; user disabled; `wharf user passwd` sets a new password"),
            Self::Broken => f.write_str(
                "has a hash of the broken variant `$2x$`, not bcrypt; user disabled; `wharf user passwd` sets a new password",
            ),
            Self::Cost(cost) => write!(
                f,
                "has a bcrypt hash of cost {cost}, outside of 4 to 17; user disabled; `wharf user passwd` sets a new password"
            ),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "it contains zero bytes, so it is no text; if it is UTF-16, save it as UTF-8",
            Self::Utf16 => "it begins as UTF-16 and is none; save it as UTF-8",
            Self::NoEntry => "nothing in it is an entry `name:hash`",
        })
    }
}
