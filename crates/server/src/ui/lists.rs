//! What lists of pages share: their next page, and the columns by which they are sorted.

use wharf_pages::{Column, Pages, Sorted};

use super::{call::Call, fields::query_of};

/// The foot of a list; the next page has this cursor.
pub(super) fn foot(call: Call<'_>, next: Option<&str>) -> Pages {
    let has_first = call.query.is_set("cursor");
    Pages {
        shown: None,
        next: next
            .map(|next| here_with(call, &[("cursor", next)]))
            .unwrap_or_default(),
        first: if has_first {
            here_with(call, &[])
        } else {
            String::new()
        },
    }
}

/// The head of a column by which a list can be sorted, in two orders of the service: the one that is shown first, and the other one.
pub(super) fn sortable(
    call: Call<'_>,
    label: &'static str,
    (first, other): (&'static str, &'static str),
    sort: &str,
) -> Column {
    let sorted = match sort {
        sort if sort == first || sort == other => match sort.starts_with('-') {
            true => Sorted::Descending,
            false => Sorted::Ascending,
        },
        _ => Sorted::No,
    };
    let next = if sort == first { other } else { first };
    Column {
        label,
        sorted,
        href: here_with(call, &[("sort", next)]),
        number: false,
    }
}

/// The head of another column.
pub(super) fn column(label: &'static str, number: bool) -> Column {
    Column {
        label,
        sorted: Sorted::No,
        href: String::new(),
        number,
    }
}

/// The address of this page, from its first entry on, with other values of these fields.
fn here_with(call: Call<'_>, fields: &[(&str, &str)]) -> String {
    let is_other = |name: &str| fields.iter().all(|(other, _)| *other != name);
    let kept = call
        .query
        .iter()
        .filter(|(name, _)| *name != "cursor" && is_other(name));
    match query_of(kept.chain(fields.iter().copied())) {
        query if query.is_empty() => call.url(call.path),
        query => format!("{}?{query}", call.url(call.path)),
    }
}

/// The pattern that a filter means: a pattern as it is, and any other text wherever it is in a name.
pub(super) fn pattern(filter: &str) -> String {
    let is_pattern = filter.contains(['*', '?']) || filter.starts_with("re:");
    if is_pattern || filter.is_empty() {
        return filter.to_owned();
    }
    let mut pattern = String::from("re:.*");
    for character in filter.chars() {
        if r"\.+()|[]{}^$".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + ".*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_no_pattern_fits_a_part_of_a_name() {
        for (filter, expected) in [
            ("", ""),
            ("1.*", "1.*"),
            ("team/**", "team/**"),
            ("re:^v[0-9]", "re:^v[0-9]"),
            ("1.4", r"re:.*1\.4.*"),
            ("team/app", "re:.*team/app.*"),
            ("(", r"re:.*\(.*"),
        ] {
            assert_eq!(pattern(filter), expected);
        }
    }

    #[test]
    fn every_filter_of_characters_is_a_pattern() {
        for character in (' '..='~').chain(['ä', '\u{202e}']) {
            let filter = format!("a{character}b");
            let pattern = wharf_pattern::Pattern::parse_or_regex(&pattern(&filter));
            assert!(
                pattern.is_ok() || filter.contains(['*', '?']),
                "{filter}: {pattern:?}"
            );
        }
    }
}
