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

/// Files in which each line counts: users read the messages of the one kind, and all of the other.
const WHOLE: &[&str] = &[
    "crates/",
    "docs/",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
];

/// Files in which the comments count; their strings are users and repositories of stories.
const COMMENTS: &[&str] = &["tests/", "xtask/"];

#[test]
fn sentences_have_nouns_of_the_domain() {
    let mut problems = Vec::new();
    for (path, text) in files(&[".rs", ".md"]) {
        let is_of = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        if path.starts_with("tests/tidy/") || !is_of(WHOLE) && !is_of(COMMENTS) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let sentence = match line.split_once("//") {
                Some((_, comment)) if is_of(COMMENTS) => comment,
                None if is_of(COMMENTS) => continue,
                _ => line,
            };
            let lower = sentence.to_lowercase();
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
