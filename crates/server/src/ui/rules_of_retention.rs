//! Rules of retention in the fields of a form.

use std::time::Duration;

use wharf_registry::retention::parse_age;

use super::fields::Fields;
use crate::admin::wire;

/// The fields of a rule, without what stands before them.
pub(super) const FIELDS: [&str; 6] = ["repositories", "tags", "keep", "older", "not-pulled", "untagged"];

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) why: String,
}

/// Whether fields of a deletion say that rules decide: those of the configuration (`policy`), or one that they name (`rule.…`).
pub(super) fn is_meant(fields: &Fields) -> bool {
    fields.is_set("policy") || FIELDS.iter().any(|field| fields.is_set(&format!("rule.{field}")))
}

/// The rules that fields of a deletion name.
pub(super) fn read(fields: &Fields) -> Result<wire::Retention, Wrong> {
    of(fields, "rule.")
}

/// The rules in the fields with names that begin with `start`.
pub(super) fn of(fields: &Fields, start: &str) -> Result<wire::Retention, Wrong> {
    if fields.is_set("policy") {
        return Ok(wire::Retention::default());
    }
    let text = |field: &str| fields.get(&format!("{start}{field}")).to_owned();
    let age = |field: &'static str| match text(field).as_str() {
        "" => Ok(None),
        age => match parse_age(age) {
            Ok(age) => Ok(Some(Duration::as_secs(&age))),
            Err(error) => Err(Wrong {
                field,
                why: error.to_string(),
            }),
        },
    };
    let keep = match text("keep").as_str() {
        "" => None,
        number => Some(number.parse().map_err(|_| Wrong {
            field: "keep",
            why: "it must be a whole number".to_owned(),
        })?),
    };
    let rule = wire::RetentionRule {
        repositories: words(&text("repositories")),
        kinds: Vec::new(),
        tags: words(&text("tags")),
        not_tags: Vec::new(),
        keep,
        older_than: age("older")?,
        not_pulled: age("not-pulled")?,
        untagged: age("untagged")?,
    };
    Ok(wire::Retention {
        rules: Some(vec![rule]),
        // What goes is seen before it goes.
        max_delete: Some(100),
        ..wire::Retention::default()
    })
}

/// Patterns with spaces or commas between them.
pub(super) fn words(text: &str) -> Vec<String> {
    let words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_from_its_fields() {
        let fields = Fields::read("rule.tags=ci-*,+v*&rule.keep=3&rule.older=2w");
        assert!(is_meant(&fields));
        let rules = read(&fields).unwrap();
        let rule = &rules.rules.unwrap()[0];
        assert_eq!(
            (rule.tags.as_slice(), rule.keep),
            (&["ci-*".to_owned(), "v*".to_owned()][..], Some(3))
        );
        assert_eq!(rule.older_than, Some(14 * 24 * 60 * 60));
        assert!(!is_meant(&Fields::read("tag=a")));
        assert_eq!(
            read(&Fields::read("policy=1&rule.keep=3")).unwrap(),
            wire::Retention::default()
        );
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named() {
        for (text, field) in [
            ("rule.keep=x", "keep"),
            ("rule.older=soon", "older"),
            ("rule.untagged=3", "untagged"),
        ] {
            assert_eq!(read(&Fields::read(text)).unwrap_err().field, field);
        }
    }
}
