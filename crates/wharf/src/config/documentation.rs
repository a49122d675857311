//! `wharf config keys`: the table of keys for people, which is also the end of `docs/configuration.md`.

use std::fmt::Write as _;

use super::keys::{self, Default, Key, Kind, Since, Status};

/// All keys as a table in Markdown.
pub(crate) fn table() -> String {
    let mut text = String::from("| key | value | default | what it does |\n|---|---|---|---|\n");
    for key in keys::all() {
        let default = match key.default {
            Default::None => String::new(),
            Default::Value(value) => format!("`{value}`"),
            Default::Words(words) => words.to_owned(),
        };
        let row = format!(
            "| `{}` | {} | {default} | {} |",
            key.path,
            key.kind.words(),
            effect(key)
        );
        _ = writeln!(text, "{row}");
    }
    text
}

fn effect(key: &Key) -> String {
    let mut effect = match key.status {
        Status::Works => key.says.to_owned(),
        Status::Accepted(why) => format!("accepted: {why}"),
        Status::Warned(why) => format!("*warning*: {why}"),
        Status::Refused(why) => format!("**refused**: {why}"),
        Status::AsAbove => "as above".to_owned(),
        Status::Alias(of) => format!("another name of `{of}`"),
    };
    match key.since {
        Since::Both => {}
        Since::Only2 => effect.push_str(" (registry:2 only)"),
        Since::From3(version) => _ = write!(effect, " (registry {version})"),
        Since::Ours => effect.push_str(" (wharf only)"),
    }
    if let Some(name) = key.variable {
        _ = write!(effect, " (`{name}` in names of variables)");
    }
    effect.replace('|', "\\|")
}

impl Kind {
    /// In words, for people.
    pub(super) fn words(self) -> String {
        match self {
            Self::Section | Self::Named => "section".to_owned(),
            Self::Choice => "section, or a name".to_owned(),
            Self::List => "list of sections".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Word(words) => words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", "),
            Self::Texts => "list".to_owned(),
            Self::Headers { .. } => "names, each with a list".to_owned(),
            Self::Fields => "names, each with a text".to_owned(),
            Self::Any => "anything".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_table_of_keys() {
        let documentation = include_str!("../../../../docs/configuration.md");
        let table = table();
        if let Some(missing) = table.lines().find(|line| !documentation.contains(line)) {
            panic!(
                "replace the table at the end of docs/configuration.md by what `wharf config keys` says; it has no\n{missing}"
            );
        }
        let rows = |text: &str| text.lines().filter(|line| line.starts_with("| `")).count();
        assert!(
            documentation.ends_with(&table),
            "{} rows, not {}",
            rows(documentation),
            rows(&table)
        );
    }
}
