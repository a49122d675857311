//! The patterns of docker_auth, which are those of Go: regular expressions between slashes, and globs of `path.Match`.
//!
//! Whatever means something else here than in Go, or nothing, is refused: a pattern may match less than it does there, and
//! then its rule is not used, but never more.

use regex::{Regex, RegexBuilder};
use wharf_pattern::{AccountPart, Pattern, PatternError};

/// The most bytes that a compiled expression may take.
const SIZE_LIMIT: usize = 1 << 20;

/// Characters with a meaning in an expression.
const META: &str = r"\.+*?()|[]{}^$";

/// A pattern that was read.
#[derive(Debug)]
pub(super) enum Found {
    /// It matches what this pattern matches.
    Pattern(Pattern),
    /// It matches no name.
    Nothing,
}

/// The expression between the slashes of `text`, if it is one.
pub(super) fn expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('/')?.strip_suffix('/')?;
    (!inner.is_empty()).then_some(inner)
}

/// Whether `text`, an expression or a glob without variables, matches `value`.
pub(super) fn matches(text: &str, value: &str) -> Result<bool, String> {
    match expression(text) {
        Some(inner) => Ok(compile(inner)?.is_match(value)),
        None => Ok(glob_as_regex(text).is_some_and(|regex| regex.is_match(value))),
    }
}

/// A pattern of accounts, without variables.
pub(super) fn account(text: &str) -> Result<Found, String> {
    if let Some(inner) = expression(text) {
        return Ok(Found::Pattern(Pattern::regex(compile(inner)?)));
    }
    if !text.contains(['*', '?', '[', '\\']) {
        return Ok(Found::Pattern(Pattern::literal(text)));
    }
    Ok(glob_as_regex(text).map_or(Found::Nothing, |regex| Found::Pattern(Pattern::regex(regex))))
}

/// A pattern of repositories, which may have `${account}`, and `${account:1}` for `part`.
pub(super) fn repository(text: &str, part: Option<AccountPart>) -> Result<Found, String> {
    let has_variable = text.contains("${");
    let Some(inner) = expression(text) else {
        return glob(text, part, has_variable);
    };
    match inner.trim_start_matches('^').trim_end_matches('$') {
        ".*" | ".+" => Ok(Found::Pattern(Pattern::everything())),
        _ if !has_variable => Ok(Found::Pattern(Pattern::regex(compile(inner)?))),
        _ => {
            let glob = beginning_with_variable(inner).ok_or(
                "an expression with a variable can be read only in the forms `/^${account}\\/.*$/` and `/^${account}$/`",
            )?;
            parsed(&glob, part)
        }
    }
}

/// The part of an account that the only group of `text` takes, if all around it has a fixed length: `/^(.+)@example\.com$/`.
pub(super) fn group(text: &str) -> Option<AccountPart> {
    let inner = expression(text)?.strip_prefix('^')?.strip_suffix('$')?;
    let (front, rest) = inner.split_once('(')?;
    let (group, back) = rest.rsplit_once(')')?;
    // `(?:` and its like are no groups that a variable could name.
    if group.starts_with('?') || group.contains(['(', ')']) || front.ends_with('\\') || group.ends_with('\\')
    {
        return None;
    }
    Some(AccountPart {
        front: fixed_length(front)?,
        back: fixed_length(back)?,
    })
}

/// How many characters a part of an expression matches, if that is fixed.
fn fixed_length(text: &str) -> Option<usize> {
    let mut characters = text.chars();
    let mut length = 0;
    while let Some(character) = characters.next() {
        match character {
            '.' => {}
            '\\' if characters.next()?.is_ascii_punctuation() => {}
            other if META.contains(other) => return None,
            _ => {}
        }
        length += 1;
    }
    Some(length)
}

/// `^`, characters and variables, and then the end, or anything.
fn beginning_with_variable(expression: &str) -> Option<String> {
    let mut rest = expression.strip_prefix('^')?;
    let mut glob = String::new();
    loop {
        match rest {
            "$" => return Some(glob),
            // Any further characters, and components.
            "" | ".*" | ".*$" => return Some(glob + "*/**"),
            ".+" | ".+$" if glob.ends_with('/') => return Some(glob + "*/**"),
            "[^/]*$" | "[^/]+$" if glob.ends_with('/') => return Some(glob + "*"),
            _ => {}
        }
        if let Some(after) = rest.strip_prefix("${") {
            let (name, after) = after.split_once('}')?;
            glob.push_str(&format!("${{{name}}}"));
            rest = after;
            continue;
        }
        let mut characters = rest.chars();
        let character = match characters.next()? {
            '\\' => characters.next().filter(char::is_ascii_punctuation)?,
            other if META.contains(other) => return None,
            other => other,
        };
        if matches!(character, '*' | '?' | '$') {
            return None;
        }
        glob.push(character);
        rest = characters.as_str();
    }
}

/// A glob of `path.Match`: `*` and `?` stay inside a component, as in our patterns.
fn glob(text: &str, part: Option<AccountPart>, has_variable: bool) -> Result<Found, String> {
    if text.contains('[') {
        if has_variable {
            return Err("a glob with a variable and a `[` cannot be read".to_owned());
        }
        return Ok(glob_as_regex(text).map_or(Found::Nothing, |regex| Found::Pattern(Pattern::regex(regex))));
    }
    let mut ours = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // `**` is one `*` to Go.
            '*' if ours.ends_with('*') => {}
            '\\' => match characters.next() {
                // No name has these.
                None | Some('*' | '?' | '$' | '\\' | '{') => return Ok(Found::Nothing),
                Some(literal) => ours.push(literal),
            },
            other => ours.push(other),
        }
    }
    parsed(&ours, part)
}

fn parsed(text: &str, part: Option<AccountPart>) -> Result<Found, String> {
    match Pattern::parse_with(text, part) {
        Ok(pattern) => Ok(Found::Pattern(pattern)),
        Err(error @ (PatternError::UnknownVariable(_) | PatternError::PartialAny)) => Err(error.to_string()),
        // Go takes these for what they are: characters that no name has.
        Err(
            PatternError::Empty
            | PatternError::EmptyComponent
            | PatternError::OpenVariable
            | PatternError::Impossible(_),
        ) => Ok(Found::Nothing),
    }
}

/// A glob as an expression; `None` when it matches nothing because it is malformed.
fn glob_as_regex(text: &str) -> Option<Regex> {
    let mut expression = String::from("^");
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '\\' => expression.push_str(&regex::escape(characters.next()?.encode_utf8(&mut [0; 4]))),
            '[' => class(&mut characters, &mut expression)?,
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    build(&format!("(?s){expression}")).ok()
}

/// A class of a glob, behind its `[`.
fn class(characters: &mut std::str::Chars<'_>, expression: &mut String) -> Option<()> {
    let member = |rest: &mut std::str::Chars<'_>| match rest.next()? {
        '\\' => rest.next(),
        '-' | ']' => None,
        other => Some(other),
    };
    let escaped = |character: char| format!("\\x{{{:x}}}", u32::from(character));
    expression.push('[');
    if let Some(rest) = characters.as_str().strip_prefix('^') {
        *characters = rest.chars();
        expression.push('^');
    }
    let mut is_first = true;
    loop {
        if let Some(rest) = characters.as_str().strip_prefix(']')
            && !is_first
        {
            *characters = rest.chars();
            expression.push(']');
            return Some(());
        }
        is_first = false;
        let from = member(characters)?;
        expression.push_str(&escaped(from));
        if let Some(rest) = characters.as_str().strip_prefix('-') {
            *characters = rest.chars();
            let to = member(characters)?;
            if to < from {
                return None;
            }
            expression.push('-');
            expression.push_str(&escaped(to));
        }
    }
}

/// An expression of Go's `regexp`.
fn compile(expression: &str) -> Result<Regex, String> {
    build(&translated(expression)?)
}

fn build(expression: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(expression).size_limit(SIZE_LIMIT).build();
    built.map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

/// The same expression for the crate `regex`, whose classes know Unicode, and nest.
fn translated(expression: &str) -> Result<String, String> {
    let mut ours = String::new();
    let mut rest = expression;
    let mut is_in_class = false;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = after;
        match character {
            '\\' => {
                let next = after.chars().next().ok_or("it ends with a backslash")?;
                rest = &after[next.len_utf8()..];
                ours.push_str(&escape(next, rest, is_in_class)?);
            }
            '[' if !is_in_class => {
                is_in_class = true;
                ours.push('[');
                if let Some(after) = rest.strip_prefix('^') {
                    ours.push('^');
                    rest = after;
                }
                if let Some(after) = rest.strip_prefix(']') {
                    ours.push_str("\\]");
                    rest = after;
                }
            }
            '[' if rest.starts_with(':') => {
                let (name, after) = rest.split_once(":]").ok_or("a class `[:` has no `:]`")?;
                ours.push_str(&format!("[{name}:]"));
                rest = after;
            }
            ']' if is_in_class => {
                is_in_class = false;
                ours.push(']');
            }
            '-' if is_in_class && rest.starts_with('-') => {
                return Err("`--` in a class means nothing certain".to_owned());
            }
            '[' | '&' | '~' if is_in_class => ours.extend(['\\', character]),
            '{' if !is_in_class && rest.starts_with(',') => {
                return Err("`{,` is a text in Go; write `\\{,`".to_owned());
            }
            '(' if !is_in_class && rest.starts_with('?') => {
                let flags = rest[1..].split([':', ')', '<']).next().unwrap_or_default();
                if flags.contains(['x', 'R', 'u', 'i']) {
                    return Err(format!("the flags `{flags}` cannot be read"));
                }
                ours.push('(');
            }
            other => ours.push(other),
        }
    }
    Ok(ours)
}

/// What stands for an escaped character; in Go the classes `\d`, `\w`, `\s` and the boundary `\b` know ASCII alone.
fn escape(character: char, after: &str, is_in_class: bool) -> Result<String, String> {
    Ok(match character {
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => r"[\t\n\x0C\r\x20]".to_owned(),
        'S' => r"[^\t\n\x0C\r\x20]".to_owned(),
        'b' if !is_in_class && !after.starts_with('{') => r"(?-u:\b)".to_owned(),
        'A' | 'z' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' => format!("\\{character}"),
        '<' | '>' => character.to_string(),
        other if other.is_ascii_punctuation() => format!("\\{other}"),
        other => return Err(format!("`\\{other}` cannot be read")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_go() {
        for (expression, value, expected) in [
            ("/z$/", "baz", true),
            ("/^z/", "baz", false),
            ("/^(admins|VIP)$/", "VIP", true),
            (r"/^\d+$/", "12", true),
            // An Arabic digit, which `\d` matches in other dialects.
            (r"/^\d+$/", "\u{661}", false),
            (r"/^[\w.-]+$/", "a_b.c-d", true),
            (r"/^\w$/", "é", false),
            ("/^[a[b]+$/", "a[b", true),
            ("/^[a&&b]+$/", "&", true),
            ("/^[]a]$/", "]", true),
            ("/^[[:digit:]]+$/", "42", true),
            (r"/^a\/b$/", "a/b", true),
            (r"/\bdev\b/", "my-dev-team", true),
            (r"/^a\<b$/", "a<b", true),
            ("/.+/", "", false),
        ] {
            assert_eq!(matches(expression, value), Ok(expected), "{expression} {value}");
        }
        for refused in [
            "/foo?*(/",
            "/(?i)a/",
            r"/\pL/",
            "/a{,5}/",
            "/[a--b]/",
            "/(?x)a b/",
            r"/\Qa\E/",
            "/(a/",
        ] {
            assert!(matches(refused, "a").is_err(), "{refused}");
        }
    }

    #[test]
    fn globs_mean_what_they_mean_in_go() {
        for (glob, value, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("a*", "a", true),
            ("**", "a/b", false),
            ("fo?", "foo", true),
            ("fo?", "fo/", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a]b", "/b", true),
            (r"a\*b", "a*b", true),
            ("[", "[", false),
            ("[]a]", "]", false),
            ("a[", "a", false),
            ("//", "//", true),
        ] {
            assert_eq!(matches(glob, value), Ok(expected), "{glob} {value}");
        }
    }

    #[test]
    fn an_expression_with_a_variable_is_read_where_it_is_a_beginning() {
        let shown = |text: &str| match repository(text, None) {
            Ok(Found::Pattern(pattern)) => pattern.to_string(),
            Ok(Found::Nothing) => "nothing".to_owned(),
            Err(error) => error,
        };
        assert_eq!(shown(r"/^${account}\/.*$/"), "${account}/*/**");
        assert_eq!(shown(r"/^users\/${account}/"), "users/${account}*/**");
        assert_eq!(shown("/^${account}$/"), "${account}");
        assert_eq!(shown(r"/^${account}/[^/]+$/"), "${account}/*");
        for refused in [
            "/${account}_.*/",
            "/^${account}|x$/",
            "/^${account}.x$/",
            "/^${service}$/",
        ] {
            assert!(repository(refused, None).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_group_between_fixed_lengths_is_a_part_of_the_account() {
        let part = |front, back| Some(AccountPart { front, back });
        assert_eq!(group(r"/^(.+)@test\.com$/"), part(0, 9));
        assert_eq!(group("/^(.+)@test.com$/"), part(0, 9));
        assert_eq!(group("/^u-([a-z]+)$/"), part(2, 0));
        for other in [
            "/(.+)@x/",
            "/^(.+)@(.+)$/",
            "/^(.+)@x+$/",
            "/^((a)b)$/",
            "x",
            r"/^\(.+)$/",
        ] {
            assert_eq!(group(other), None, "{other}");
        }
    }
}
