//! From the bytes of a file to its rules, in our format or in that of docker_auth, and to what is wrong with it.

use wharf_document::{Oddity, Parsed, Place, Value};

use super::{Problem, Rules, Weight, docker_auth, native};

/// A file of rules that was read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The rules; they count only if no problem is an error.
    pub rules: Rules,
    /// The problems, by their lines
    pub problems: Vec<Problem>,
}

impl Reading {
    /// Whether the rules may be used: no problem is an error.
    pub fn is_usable(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.weight != Weight::Error)
    }
}

/// Reads the bytes of a file.
pub fn read(bytes: &[u8]) -> Reading {
    let mut problems = Vec::new();
    let rules = std::str::from_utf8(bytes)
        .map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            Problem::error(line, "this is not UTF-8", "save the file as UTF-8")
        })
        .and_then(parse)
        .map(|parsed| document(&parsed, &mut problems));
    let rules = rules.unwrap_or_else(|problem| {
        problems.push(problem);
        Rules::default()
    });
    problems.extend(rules.shadowed().map(|(rule, by)| {
        Problem::warning(
            rule.line(),
            format!("this rule never decides, because the rule of {} does", by.origin),
            "the first rule that fits counts: put the narrower one first, or remove it",
        )
    }));
    problems.sort_by_key(|problem| problem.line);
    Reading { rules, problems }
}

fn parse(text: &str) -> Result<Parsed, Problem> {
    wharf_document::parse(text, &Place::Line).map_err(|error| {
        let written = text.lines().nth(error.line.saturating_sub(1)).unwrap_or_default();
        let hint = match written.contains(['*', '@']) {
            true => "in YAML a text that begins with `*` or `@` must be in quotes, as in `'**'` and `'@ci'`",
            false => "",
        };
        Problem::error(error.line, error.text, hint)
    })
}

fn document(parsed: &Parsed, problems: &mut Vec<Problem>) -> Rules {
    for warning in &parsed.warnings {
        problems.push(match &warning.what {
            Oddity::RepeatedKey { key, first } => Problem::error(
                warning.line,
                format!("`{}` stands in line {first} already", key.escape_debug()),
                "a key stands once: remove one of them, or make them one",
            ),
            Oddity::SecondDocument => Problem::error(
                warning.line,
                "a second document begins here, after `---`, and would not be read",
                "put all rules into one list",
            ),
        });
    }
    match &parsed.root.value {
        Value::Map(root) if root.get("acl").is_some() => docker_auth::read(root, problems),
        Value::Map(root) => native::read(root, problems),
        Value::Scalar(scalar) if scalar.is_nothing() => {
            problems.push(Problem::error(
                0,
                "the file is empty",
                "without a rule nothing is allowed; to mean that, write `rules: []`",
            ));
            Rules::default()
        }
        Value::Scalar(_) | Value::List(_) => {
            problems.push(Problem::error(
                1,
                format!(
                    "rules stand below the key `rules`, this is {}",
                    parsed.root.kind()
                ),
                "write `rules:` above the list",
            ));
            Rules::default()
        }
    }
}
