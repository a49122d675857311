//! Comments, messages and documents name things, not riddles.

use crate::{files, report};

/// Words whose place a noun of the domain takes: the client, the request, the operator.
const RIDDLES: &[&str] = &[
    "whoever",
    "nobody",
    "somebody",
    "everybody",
    "those who",
    "no one",
    "someone",
];

/// Places that may keep such a word: a part of the path, a part of the line, and the reason.
const KEPT: &[(&str, &str, &str)] = &[
    ("", "user: nobody", "the name of a user on Unix"),
    ("", "\"nobody\"", "the name of a user in a test"),
    ("", "`nobody`", "the name of a user on Unix"),
];

/// What is read by users and reviewers.
const PLACES: &[&str] = &[
    "crates/",
    "tests/",
    "xtask/",
    "docs/",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
];

#[test]
fn sentences_have_nouns_of_the_domain() {
    let mut problems = Vec::new();
    for (path, text) in files(&[".rs", ".md", ".toml", ".sh", ".py"]) {
        if !PLACES.iter().any(|place| path.starts_with(place)) || path.starts_with("tests/tidy/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            let found = RIDDLES.iter().filter(|word| has_word(&lower, word));
            for word in found.filter(|_| !is_kept(&path, line)) {
                problems.push(format!("{path}:{}: `{word}`; name the thing", number + 1));
            }
        }
    }
    report(&problems);
}

fn is_kept(path: &str, line: &str) -> bool {
    KEPT.iter()
        .any(|(place, part, _)| path.contains(place) && line.contains(part))
}

/// Whether `word` stands in `text` by itself, not as a part of another word or of a name in code.
fn has_word(text: &str, word: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '/');
    text.match_indices(word).any(|(at, _)| {
        is_edge(text[..at].chars().next_back()) && is_edge(text[at + word.len()..].chars().next())
    })
}
