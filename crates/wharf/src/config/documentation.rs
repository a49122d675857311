//! `wharf config keys`: the documentation of all keys, which is also the end of `docs/configuration.md`.

use std::fmt::Write as _;

use super::{
    keys::{Default, KeyInfo, Since, Status},
    table::schema,
};

/// All keys as a table in Markdown.
pub(crate) fn documentation() -> String {
    let mut text = String::from("| key | value | default | what it does |\n|---|---|---|---|\n");
    for key in schema().keys() {
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

fn effect(key: &KeyInfo) -> String {
    let mut effect = match key.status {
        Status::Works => key.help.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_table_of_keys() {
        let written = include_str!("../../../../docs/configuration.md");
        let start = written.find("| key | value |").unwrap_or_default();
        let table = documentation();
        for (written, row) in written[start..].lines().zip(table.lines()) {
            assert_eq!(
                written, row,
                "replace the table at the end of docs/configuration.md by what `wharf config keys` prints"
            );
        }
        assert!(written.ends_with(&table));
    }
}
