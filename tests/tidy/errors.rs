//! Errors say each cause once: a text that contains its cause does not hand it on to printers of the chain as well.

use crate::{files, report};

#[test]
fn no_text_of_an_error_contains_its_source() {
    let mut problems = Vec::new();
    for (path, text) in files(&["rs"]) {
        if path.starts_with("crates/") {
            problems.extend(repeated(&text).map(|line| format!("{path}: {line}")));
        }
    }
    report(&problems);
}

/// The attributes of `thiserror` whose text repeats the source of the error.
fn repeated(text: &str) -> impl Iterator<Item = &str> {
    let attributes = text.split("#[error(").skip(1);
    attributes.filter_map(|after| {
        // The attribute, and the variant or struct that follows it: up to the next one.
        let (attribute, item) = after.split_once(")]\n")?;
        let end = ["\n    #[error", "\n}\n", ");\n", "\n    },", "),\n"]
            .into_iter()
            .filter_map(|end| item.find(end).map(|at| at + end.len()))
            .min();
        let item = &item[..end.unwrap_or(item.len())];
        let has_field =
            |name: &str| attribute.contains(&format!("{{{name}")) || attribute.contains(&format!(".{name}"));
        let repeats_field = item.contains(" source: ") && has_field("source");
        let repeats_first = (item.contains("#[from]") || item.contains("#[source]")) && has_field("0");
        (repeats_field || repeats_first).then(|| {
            attribute
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or(attribute)
        })
    })
}

#[test]
fn repetitions_are_found() {
    let found = |text: &str| repeated(text).count();
    assert_eq!(
        found("#[error(\"cannot: {source}\")]\n    Other {\n        source: io::Error,\n    },\n"),
        1
    );
    assert_eq!(
        found("#[error(\"cannot: {0}\")]\npub struct A(#[from] io::Error);\n"),
        1
    );
    assert_eq!(
        found("#[error(\"cannot\")]\n    Other {\n        source: io::Error,\n    },\n"),
        0
    );
    assert_eq!(found("#[error(transparent)]\n    A(#[from] io::Error),\n"), 0);
    assert_eq!(
        found("#[error(\"{0}\")]\n    A(String),\n    #[error(transparent)]\n    B(#[from] E),\n"),
        0
    );
}
