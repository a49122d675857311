//! Which tags of a repository are mirrored: by pattern, by version, and the newest of them.

use std::cmp::Ordering;

use semver::{Prerelease, Version, VersionReq};
use wharf_oci::Tag;
use wharf_pattern::Pattern;

/// The tags that an entry chooses. Without patterns and ranges these are all.
#[derive(Debug, Default, Clone)]
pub(super) struct Choice {
    pub(super) patterns: Vec<Pattern>,
    pub(super) not: Vec<Pattern>,
    /// Ranges of versions, any of which is enough.
    pub(super) ranges: Vec<VersionReq>,
    /// What follows the version in a tag: `-alpine`.
    pub(super) suffix: Option<String>,
    /// How many are mirrored at most: of the versions, and of the other tags.
    pub(super) newest: Option<usize>,
}

impl Choice {
    /// Whether a tag is chosen, as long as there are no newer ones.
    pub(super) fn admits(&self, tag: &str) -> bool {
        let is_all = self.patterns.is_empty() && self.ranges.is_empty();
        let by_version = || {
            let version = self.version(tag);
            version.is_some_and(|version| self.ranges.iter().any(|range| range.matches(&version)))
        };
        let by_name = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(tag, None));
        (is_all || by_name(&self.patterns) || by_version()) && !by_name(&self.not)
    }

    /// The chosen ones of `tags`, by name.
    pub(super) fn of(&self, tags: &[Tag]) -> Vec<Tag> {
        let mut chosen: Vec<Tag> = tags
            .iter()
            .filter(|tag| self.admits(tag.as_str()))
            .cloned()
            .collect();
        if let Some(newest) = self.newest {
            let (mut kept, others): (Vec<Tag>, Vec<Tag>) =
                chosen.into_iter().partition(|tag| self.is_named(tag.as_str()));
            let (mut versions, mut names) = (Vec::new(), Vec::new());
            for tag in others {
                match self.version(tag.as_str()) {
                    Some(version) => versions.push((version, tag)),
                    None => names.push(tag),
                }
            }
            versions.sort_by(|(a, tag), (b, other)| (b, other.as_str()).cmp(&(a, tag.as_str())));
            names.sort_by(|a, b| natural(b.as_str(), a.as_str()));
            kept.extend(versions.into_iter().take(newest).map(|(_, tag)| tag));
            kept.extend(names.into_iter().take(newest));
            chosen = kept;
        }
        chosen.sort_by(|a, b| natural(a.as_str(), b.as_str()));
        chosen
    }

    /// Whether the list has this very tag.
    fn is_named(&self, tag: &str) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| pattern.is_literal() && pattern.matches(tag, None))
    }

    /// The version that a tag stands for.
    fn version(&self, tag: &str) -> Option<Version> {
        match &self.suffix {
            Some(suffix) => version(tag.strip_suffix(suffix.as_str())?),
            None => version(tag),
        }
    }
}

/// The version that a tag stands for: `1.2.3`, `v1.2.3`, `1.2`, `1`, `2024.01.05` and `1.2.3-rc.1`.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, Prerelease::new(pre).ok()?),
        None => (text, Prerelease::EMPTY),
    };
    let mut numbers = [0; 3];
    let mut parts = core.split('.');
    for (place, number) in numbers.iter_mut().enumerate() {
        *number = match parts.next() {
            // `parse` takes a sign as well.
            Some(part) if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().ok()?,
            None if place > 0 => break,
            _ => return None,
        };
    }
    let [major, minor, patch] = numbers;
    parts.next().is_none().then(|| Version {
        pre,
        ..Version::new(major, minor, patch)
    })
}

/// The order in which people count: `build-9` before `build-10`.
fn natural(a: &str, b: &str) -> Ordering {
    pieces(a).cmp(pieces(b)).then_with(|| a.cmp(b))
}

/// The pieces of a text: numbers by their value, which is the length without zeros and then the digits; other text as it is.
fn pieces(text: &str) -> impl Iterator<Item = (bool, usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_digit = |character: char| character.is_ascii_digit();
        let end = rest.find(|character: char| is_digit(character) != is_digit(first));
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(match is_digit(first) {
            true => {
                let digits = piece.trim_start_matches('0');
                (false, digits.len(), digits)
            }
            false => (true, 0, piece),
        })
    })
}

/// Reads a range of versions. A version without an operator stands for those that begin with it, as in most programs: `1.2` for 1.2.x.
/// Cargo would read it as `^1.2`.
pub(super) fn range(text: &str) -> Result<VersionReq, String> {
    let parts = text.split(',').map(|part| {
        let part = part.trim();
        let core = part.split(['-', '+']).next().unwrap_or(part);
        match core.starts_with(|first: char| first.is_ascii_digit()) && !core.contains(['*', 'x', 'X']) {
            true if core.split('.').count() == 3 => format!("={part}"),
            true => format!("~{part}"),
            false => part.to_owned(),
        }
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    parts.parse().map_err(|error| {
        format!(
            "`{text}` is no range of versions ({error}); write it such as `1.2`, `~1.2.3` or `>=1.2, <3`, with a list for several"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(patterns: &[&str], ranges: &[&str], newest: Option<usize>) -> Choice {
        Choice {
            patterns: patterns
                .iter()
                .map(|text| Pattern::parse_or_regex(text).unwrap())
                .collect(),
            ranges: ranges.iter().map(|text| range(text).unwrap()).collect(),
            newest,
            ..Choice::default()
        }
    }

    fn chosen(choice: &Choice, tags: &[&str]) -> Vec<String> {
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        choice.of(&tags).iter().map(Tag::to_string).collect()
    }

    const TAGS: [&str; 9] = [
        "latest",
        "1.2",
        "v1.10.0",
        "1.9.3",
        "2.0.0-rc.1",
        "2.0.0",
        "1.9.3-alpine",
        "build-9",
        "build-10",
    ];

    #[test]
    fn versions_are_read_as_tags_write_them() {
        let text = |tag: &str| version(tag).map(|version| version.to_string());
        for (tag, expected) in [
            ("1.2.3", "1.2.3"),
            ("v1.2.3", "1.2.3"),
            ("1.2", "1.2.0"),
            ("v7", "7.0.0"),
            ("2024.01.05", "2024.1.5"),
            ("1.2.3-rc.1", "1.2.3-rc.1"),
            ("1.25-alpine3", "1.25.0-alpine3"),
        ] {
            assert_eq!(text(tag).as_deref(), Some(expected), "{tag}");
        }
        for tag in [
            "latest",
            "v",
            "1.2.3.4",
            "1..2",
            "1.2.x",
            "+1",
            "1_2",
            "stable-1.2",
            "99999999999999999999",
        ] {
            assert_eq!(text(tag), None, "{tag}");
        }
    }

    #[test]
    fn tags_are_chosen_by_pattern_or_range() {
        assert_eq!(chosen(&choice(&[], &[], None), &TAGS).len(), TAGS.len());
        assert_eq!(
            chosen(&choice(&["latest"], &[">=1.9, <2"], None), &TAGS),
            ["1.9.3", "latest", "v1.10.0"]
        );
        assert_eq!(
            chosen(&choice(&["re:build-.*"], &["2"], None), &TAGS),
            ["2.0.0", "build-9", "build-10"]
        );
        let mut without = choice(&["1.*"], &[], None);
        without.not = vec![Pattern::parse_or_regex("*-alpine").unwrap()];
        assert_eq!(chosen(&without, &TAGS), ["1.2", "1.9.3"]);
        let mut alpine = choice(&[], &[">=1"], None);
        alpine.suffix = Some("-alpine".to_owned());
        assert_eq!(chosen(&alpine, &TAGS), ["1.9.3-alpine"]);
    }

    #[test]
    fn the_newest_are_the_highest_versions_and_the_last_names() {
        assert_eq!(
            chosen(&choice(&["latest", "*"], &[], Some(2)), &TAGS),
            ["2.0.0", "2.0.0-rc.1", "build-9", "build-10", "latest"]
        );
        assert_eq!(chosen(&choice(&[], &["1"], Some(1)), &TAGS), ["v1.10.0"]);
    }

    #[test]
    fn a_version_without_an_operator_stands_for_those_that_begin_with_it() {
        let tags = ["1.2", "1.2.3", "1.2.4", "1.3.0", "2.0.0", "2.0.0-x.1"];
        for (written, expected) in [
            ("1.2", &["1.2", "1.2.3", "1.2.4"][..]),
            ("1", &["1.2", "1.2.3", "1.2.4", "1.3.0"]),
            ("1.2.3", &["1.2.3"]),
            ("2.0.0-x.1", &["2.0.0-x.1"]),
            ("1.2.*", &["1.2", "1.2.3", "1.2.4"]),
            ("^1.2", &["1.2", "1.2.3", "1.2.4", "1.3.0"]),
            ("1.2, <1.2.4", &["1.2", "1.2.3"]),
        ] {
            assert_eq!(
                chosen(&choice(&[], &[written], None), &tags),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn a_wrong_range_has_an_example() {
        for bad in ["", ">=1 <2", "latest", "1 || 2"] {
            assert!(range(bad).unwrap_err().contains(">=1.2, <3"), "{bad}");
        }
    }
}
