//! What templates may have in them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;
use wharf_pages::{Lang, Text};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The templates by name.
fn templates() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder("templates")).unwrap();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

fn keys() -> BTreeSet<String> {
    let texts = fs::read_to_string(folder("texts/en.toml")).unwrap();
    let key = Regex::new(r#"(?m)^"([^"]+)" = "#).unwrap();
    key.captures_iter(&texts)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn templates_have_no_inline_script_style_or_handler_and_nothing_unescaped() {
    let forbidden = [
        (r"\sstyle=", "a style in an attribute"),
        (r"<style", "a style sheet"),
        (r"\son[a-z]+=", "a handler in an attribute"),
        (r"\|\s*safe", "the filter `safe`"),
        (r"escape\s+none", "a block without escapes"),
        (r"(?i)javascript:", "a script in a link"),
    ];
    let script = Regex::new(r"<script[^>]*>[^<]*").unwrap();
    for (name, template) in templates() {
        for (pattern, what) in forbidden {
            let found = Regex::new(pattern)
                .unwrap()
                .find(&template)
                .map(|found| found.as_str());
            assert_eq!(found, None, "{name} has {what}");
        }
        for found in script.find_iter(&template) {
            assert_eq!(
                found.as_str(),
                r#"<script type="module" src="{{ page.assets }}/app.js">"#,
                "{name}"
            );
        }
    }
}

/// Words that are the same in all languages.
const NAMES: &[&str] = &[
    "wharf",
    "SHA-256",
    "sha256:…",
    "width=device-width, initial-scale=1",
];

#[test]
fn templates_have_no_text_of_their_own() {
    let code = Regex::new(r"(?s)\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}").unwrap();
    let tag = Regex::new(r#"<[a-z!/](?:[^>"]|"[^"]*")*>"#).unwrap();
    let attribute = Regex::new(r#"(?:title|aria-label|placeholder|alt)="([^"]*)""#).unwrap();
    for (name, template) in templates() {
        let html = code.replace_all(&template, "");
        let said: Vec<String> = attribute
            .captures_iter(&html)
            .map(|found| found[1].to_owned())
            .chain(tag.split(&html).map(str::to_owned))
            .collect();
        for text in said {
            let rest = NAMES
                .iter()
                .fold(text.clone(), |text, name| text.replace(name, ""));
            assert!(
                !rest.chars().any(|letter| letter.is_alphabetic() && letter != 'x'),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn every_key_in_a_template_is_in_the_catalogues() {
    let known = keys();
    let key = Regex::new(r#"page\.t\("([^"]+)"\)"#).unwrap();
    let field = Regex::new(r#"text_field\([a-z_]+, "[a-z]+", "([^"]*)", "([^"]*)"\)"#).unwrap();
    let section = Regex::new(r#"t_of\("([^"]+)""#).unwrap();
    for (name, template) in templates() {
        let of_fields = field
            .captures_iter(&template)
            .flat_map(|found| [found[1].to_owned(), found[2].to_owned()]);
        let used = key
            .captures_iter(&template)
            .map(|found| found[1].to_owned())
            .chain(of_fields);
        for key in used.filter(|key| !key.is_empty()) {
            assert!(known.contains(&key), "{name}: `{key}`");
            assert_ne!(Text::of(Lang::Ru, &key).attr(), key, "{name}");
        }
        for found in section.captures_iter(&template) {
            let prefix = format!("{}.", &found[1]);
            assert!(
                known.iter().any(|key| key.starts_with(&prefix)),
                "{name}: `{prefix}`"
            );
        }
    }
}

#[test]
fn every_icon_that_a_template_names_is_in_the_sprite() {
    let templates = templates();
    let symbol = Regex::new(r#"id="i-([a-z]+)""#).unwrap();
    let sprite = &templates.iter().find(|(name, _)| name == "icons.html").unwrap().1;
    let known: BTreeSet<&str> = symbol
        .captures_iter(sprite)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    let used = Regex::new(r#"icon\("([^"]+)"\)|empty\("([^"]+)"|banner\("[a-z]+", "([^"]+)""#).unwrap();
    for (name, template) in &templates {
        for found in used.captures_iter(template) {
            let icon = found.iter().skip(1).flatten().next().unwrap().as_str();
            assert!(known.contains(icon), "{name}: `{icon}`");
        }
    }
}

/// The sources of the pages and of their surface, and the templates.
fn sources() -> String {
    let mut text: String = templates().into_iter().map(|(_, template)| template).collect();
    let mut folders = vec![folder("src"), folder("../server/src/ui")];
    while let Some(place) = folders.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => text.push_str(&fs::read_to_string(path).unwrap()),
            }
        }
    }
    text
}

#[test]
fn every_text_is_used_and_every_key_has_a_text() {
    let (known, sources) = (keys(), sources());
    let find = |pattern: &str| -> BTreeSet<String> {
        let pattern = Regex::new(pattern).unwrap();
        pattern
            .captures_iter(&sources)
            .map(|found| found[1].to_owned())
            .collect()
    };
    let literals = find(r#""([a-z0-9.-]+)""#);
    // Keys that are put together of a section and a word.
    let mut sections = find(r#"t_of\("([a-z.-]+)""#);
    sections.extend(find(r#""([a-z.-]+)\.\{[a-z_]*\}"#));
    let is_of_section = |key: &str| {
        let below = |section: &String| {
            key.strip_prefix(section.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        };
        sections.iter().any(below)
    };
    let unused: Vec<&String> = known
        .iter()
        .filter(|key| !literals.contains(*key) && !is_of_section(key))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
    let missing: Vec<String> = find(r#"page\.t\("([a-z0-9.-]+)""#)
        .into_iter()
        .filter(|key| !known.contains(key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
