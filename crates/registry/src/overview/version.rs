//! The order of names that are versions.

use std::cmp::Ordering;

/// Compares two names by version: runs of digits by their value, all else by its bytes. A version begins with a digit, perhaps behind a `v`;
/// names that are none come before all versions. What a version has behind a `-` makes it an earlier one (Semantic Versioning, item 11).
///
/// Names that are not the same are never equal, so pages of a list give each of them once.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    match (version(one), version(other)) {
        (None, None) => one.cmp(other),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(first), Some(second)) => by_parts(first, second).then_with(|| one.cmp(other)),
    }
}

/// The part of a version from its first digit on; `None`: the name is none.
fn version(name: &str) -> Option<&str> {
    let digits = name.strip_prefix(['v', 'V']).unwrap_or(name);
    digits
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(digits)
}

fn by_parts(one: &str, other: &str) -> Ordering {
    let (core, suffix) = split(one);
    let (other_core, other_suffix) = split(other);
    let by_suffix = match (suffix, other_suffix) {
        (None, None) => Ordering::Equal,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(suffix), Some(other)) => by_runs(suffix, other),
    };
    by_runs(core, other_core).then(by_suffix)
}

fn split(version: &str) -> (&str, Option<&str>) {
    match version.split_once('-') {
        Some((core, suffix)) => (core, Some(suffix)),
        None => (version, None),
    }
}

fn by_runs(mut one: &str, mut other: &str) -> Ordering {
    loop {
        if one.is_empty() || other.is_empty() {
            return one.len().cmp(&other.len());
        }
        let (first, second) = (run(one), run(other));
        let are_digits = [first, second]
            .iter()
            .all(|run| run.as_bytes()[0].is_ascii_digit());
        let order = match are_digits {
            true => by_value(first, second),
            false => first.cmp(second),
        };
        if order.is_ne() {
            return order;
        }
        (one, other) = (&one[first.len()..], &other[second.len()..]);
    }
}

/// The digits at the beginning of a text, or all before the first digit.
fn run(text: &str) -> &str {
    let starts_with_digit = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let end = text
        .bytes()
        .position(|byte| byte.is_ascii_digit() != starts_with_digit);
    &text[..end.unwrap_or(text.len())]
}

/// Compares numbers of any length.
fn by_value(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_in_which_they_were_made() {
        let ordered = [
            "dev",
            "latest",
            "1",
            "1.0-alpha",
            "1.0-rc.2",
            "1.0-rc.10",
            "v1.0",
            "1.0.1",
            "1.9",
            "v1.10-rc.1",
            "1.10",
            "1.10.1",
            "2-alpine",
            "2.0",
            "20261130",
            "99999999999999999999999999",
        ];
        for (place, one) in ordered.iter().enumerate() {
            for (other_place, other) in ordered.iter().enumerate() {
                assert_eq!(compare(one, other), place.cmp(&other_place), "{one} and {other}");
            }
        }
    }

    #[test]
    fn names_that_differ_are_not_equal() {
        for (one, other) in [("1.0", "v1.0"), ("1.0", "1.00"), ("01", "1"), ("1.0-01", "1.0-1")] {
            assert_ne!(compare(one, other), Ordering::Equal, "{one} and {other}");
            assert_eq!(compare(one, other), compare(other, one).reverse());
        }
    }
}
