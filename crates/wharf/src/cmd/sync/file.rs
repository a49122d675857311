//! The list: YAML, in which every key is known or an error, with the line of each mistake.

use std::fmt;

use wharf_client::{Address, transfer::WantedPlatform};
use wharf_document::{
    Map, Node, Oddity, Place, Value,
    words::{cut, meant},
};
use wharf_oci::RepoName;
use wharf_pattern::Pattern;

use super::choice::{Choice, range};
use crate::cli::Destination;

/// Something to mirror.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Line in the file.
    pub(super) line: usize,
    pub(super) from: Side,
    pub(super) to: Side,
    /// Which repositories of a registry; none: all.
    pub(super) repositories: Vec<Pattern>,
    pub(super) not_repositories: Vec<Pattern>,
    pub(super) tags: Choice,
    pub(super) platforms: Vec<WantedPlatform>,
    pub(super) referrers: bool,
}

/// A registry, and perhaps a repository of it.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) registry: Address,
    pub(super) name: Option<RepoName>,
}

impl Entry {
    /// Whether a repository of the source is chosen.
    pub(super) fn chooses(&self, name: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name, None));
        (self.repositories.is_empty() || matches(&self.repositories)) && !matches(&self.not_repositories)
    }

    /// Whether it could put images into a repository of a registry.
    pub(super) fn may_fill(&self, registry: &str, name: &RepoName) -> bool {
        let is_chosen = || match &self.from.name {
            Some(from) => self.to.name.as_ref().unwrap_or(from) == name,
            None => self
                .to
                .without_prefix(name.as_str())
                .is_some_and(|name| self.chooses(name)),
        };
        self.to.registry.identity() == registry && is_chosen()
    }
}

impl Side {
    /// The registry, and the repository if there is one.
    pub(super) fn text(&self) -> String {
        let registry = self.registry.identity();
        match &self.name {
            Some(name) => format!("{registry}/{name}"),
            None => registry,
        }
    }

    /// The name of a repository below the one of this side.
    pub(super) fn with_prefix(&self, name: &str) -> Option<RepoName> {
        match &self.name {
            Some(prefix) => format!("{prefix}/{name}").parse().ok(),
            None => name.parse().ok(),
        }
    }

    pub(super) fn without_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        match &self.name {
            Some(prefix) => name.strip_prefix(prefix.as_str())?.strip_prefix('/'),
            None => Some(name),
        }
    }
}

/// A mistake in the file.
#[derive(Debug)]
pub(super) struct Problem {
    line: usize,
    text: String,
}

/// Keys of an entry.
const KEYS: [&str; 11] = [
    "from",
    "to",
    "repositories",
    "not_repositories",
    "tags",
    "not_tags",
    "semver",
    "suffix",
    "newest",
    "platforms",
    "referrers",
];
/// The key of an entry that the defaults do not have: entries have no repositories in common.
const OF_ENTRY_ALONE: &str = "repositories";
const ROOT: [&str; 2] = ["defaults", "sync"];
/// Words that other programs have for the same.
const OTHERS: [(&str, &str); 16] = [
    ("source", "from"),
    ("src", "from"),
    ("target", "to"),
    ("destination", "to"),
    ("dest", "to"),
    ("repos", "repositories"),
    ("images", "repositories"),
    ("tag", "tags"),
    ("allow", "tags"),
    ("images-by-tag-regex", "tags"),
    ("deny", "not_tags"),
    ("exclude", "not_tags"),
    ("semverRange", "semver"),
    ("images-by-semver", "semver"),
    ("platform", "platforms"),
    ("latest", "newest"),
];

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

/// Reads the entries of a list; otherwise all its mistakes.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    let mut reader = Reader::default();
    let entries = reader.document(text);
    match reader.problems.is_empty() {
        true => Ok(entries),
        false => {
            reader.problems.sort_by_key(|problem| problem.line);
            Err(reader.problems)
        }
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, line: usize, text: impl Into<String>) {
        let text = text.into();
        self.problems.push(Problem { line, text });
    }

    fn document(&mut self, text: &str) -> Vec<Entry> {
        let parsed = match wharf_document::parse(text, &Place::Line) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.wrong(error.line, error.text);
                return Vec::new();
            }
        };
        for warning in &parsed.warnings {
            self.wrong(
                warning.line,
                match &warning.what {
                    Oddity::RepeatedKey { key, first } => {
                        format!(
                            "`{}` stands in line {first} already; remove one of them",
                            cut(key)
                        )
                    }
                    Oddity::SecondDocument => {
                        "a second document begins here, after `---`, and would not be read".to_owned()
                    }
                },
            );
        }
        let Some(root) = parsed.root.map() else {
            self.wrong(1, "there is no list; write the entries below `sync:`");
            return Vec::new();
        };
        self.check_keys(root, &ROOT);
        let nothing = Map::default();
        let defaults = match root.get("defaults").filter(|node| !node.is_nothing()) {
            Some(node) => node.map().unwrap_or_else(|| {
                self.wrong(line(node), "`defaults` must be a section with keys");
                &nothing
            }),
            None => &nothing,
        };
        let common: Vec<&str> = KEYS.into_iter().filter(|key| *key != OF_ENTRY_ALONE).collect();
        self.check_keys(defaults, &common);
        let list = match root.get("sync").map(|node| (node, &node.value)) {
            Some((_, Value::List(list))) if !list.is_empty() => list,
            Some((node, _)) => {
                self.wrong(
                    line(node),
                    "`sync` must be a list of entries, each with `from` and `to`",
                );
                return Vec::new();
            }
            None => {
                self.wrong(0, "it has no key `sync` with a list of entries");
                return Vec::new();
            }
        };
        list.iter()
            .filter_map(|node| self.entry(node, defaults))
            .collect()
    }

    fn entry(&mut self, node: &Node, defaults: &Map) -> Option<Entry> {
        let Some(map) = node.map() else {
            self.wrong(
                line(node),
                "an entry is a section with keys, such as `- from: HOST/REPOSITORY`",
            );
            return None;
        };
        self.check_keys(map, &KEYS);
        let get = |key: &str| map.get(key).or_else(|| defaults.get(key));
        let (from, to) = (
            self.side(node, "from", get("from")),
            self.side(node, "to", get("to")),
        );
        let mut tags = Choice::default();
        if let Some(node) = get("semver") {
            for (line, text) in self.texts("semver", node) {
                match range(text) {
                    Ok(range) => tags.ranges.push(range),
                    Err(error) => self.wrong(line, error),
                }
            }
        }
        let is_of_no_tag = |pattern: &Pattern| pattern.matches_no_tag().map(|error| error.to_string());
        let is_of_no_repository =
            |pattern: &Pattern| pattern.matches_no_repository().map(|error| error.to_string());
        tags.patterns = self.patterns("tags", get("tags"), is_of_no_tag);
        tags.not = self.patterns("not_tags", get("not_tags"), is_of_no_tag);
        tags.suffix = get("suffix")
            .and_then(|node| self.text("suffix", node))
            .map(|(_, text)| text.to_owned());
        tags.newest = get("newest").and_then(|node| self.count("newest", node));
        let repositories = self.patterns("repositories", get("repositories"), is_of_no_repository);
        let entry = Entry {
            line: line(node),
            not_repositories: self.patterns("not_repositories", get("not_repositories"), is_of_no_repository),
            platforms: self.platforms(get("platforms")),
            referrers: get("referrers").is_none_or(|node| self.switch("referrers", node)),
            tags,
            repositories,
            from: from?,
            to: to?,
        };
        self.check(&entry, map);
        Some(entry)
    }

    /// What is wrong with an entry as a whole.
    fn check(&mut self, entry: &Entry, map: &Map) {
        let Entry { from, to, .. } = entry;
        for key in ["repositories", "not_repositories"] {
            if let (Some(node), Some(name)) = (map.get(key), &from.name) {
                let host = from.registry.host();
                self.wrong(
                    line(node),
                    format!("`{key}` is for a whole registry; write `from: {host}`, or leave it out to mirror `{name}` alone"),
                );
            }
        }
        if from.registry.identity() == to.registry.identity() && (from.name == to.name || to.name.is_none()) {
            self.wrong(entry.line, "source and destination are the same");
        }
    }

    fn side(&mut self, entry: &Node, key: &str, node: Option<&Node>) -> Option<Side> {
        let Some(node) = node else {
            self.wrong(
                line(entry),
                format!("the entry has no `{key}`: a registry, or a repository of one"),
            );
            return None;
        };
        let (line, text) = self.text(key, node)?;
        match text.parse::<Destination>() {
            Ok(Destination::Registry(registry)) => Some(Side { registry, name: None }),
            Ok(Destination::Place(place)) if place.reference.is_none() => Some(Side {
                registry: place.registry,
                name: Some(place.repository),
            }),
            Ok(Destination::Place(_)) => {
                self.wrong(
                    line,
                    format!("`{}` has a tag or digest; tags stand in `tags`", cut(text)),
                );
                None
            }
            Err(error) => {
                self.wrong(line, error.to_string());
                None
            }
        }
    }

    fn patterns(
        &mut self,
        key: &str,
        node: Option<&Node>,
        matches_nothing: impl Fn(&Pattern) -> Option<String>,
    ) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for (line, text) in node.map(|node| self.texts(key, node)).unwrap_or_default() {
            match Pattern::parse_or_regex(text) {
                Ok(pattern) => match matches_nothing(&pattern) {
                    Some(why) => {
                        self.wrong(line, format!("`{}` in `{key}` matches nothing: {why}", cut(text)));
                    }
                    None => patterns.push(pattern),
                },
                Err(error) => self.wrong(line, format!("`{}` in `{key}`: {error}", cut(text))),
            }
        }
        patterns
    }

    fn platforms(&mut self, node: Option<&Node>) -> Vec<WantedPlatform> {
        let mut platforms = Vec::new();
        for (line, text) in node.map(|node| self.texts("platforms", node)).unwrap_or_default() {
            match text.parse() {
                Ok(platform) => platforms.push(platform),
                Err(error) => self.wrong(line, format!("{error}")),
            }
        }
        platforms
    }

    fn count(&mut self, key: &str, node: &Node) -> Option<usize> {
        if node.is_nothing() {
            return None;
        }
        let count = node
            .scalar()
            .and_then(|scalar| usize::try_from(scalar.integer()?).ok());
        let count = count.filter(|count| *count > 0);
        if count.is_none() {
            self.wrong(line(node), format!("`{key}` must be a number above 0"));
        }
        count
    }

    fn switch(&mut self, key: &str, node: &Node) -> bool {
        let value = node.scalar().and_then(wharf_document::Scalar::boolean);
        if value.is_none() {
            self.wrong(line(node), format!("`{key}` must be `true` or `false`"));
        }
        value.unwrap_or_default()
    }

    fn text<'a>(&mut self, key: &str, node: &'a Node) -> Option<(usize, &'a str)> {
        match node.scalar() {
            Some(scalar) if !scalar.is_nothing() => Some((line(node), &scalar.text)),
            _ => {
                self.wrong(line(node), format!("`{key}` must be a text, not {}", node.kind()));
                None
            }
        }
    }

    /// The texts of a list, or a single one; none of a key without a value, which takes a default away.
    fn texts<'a>(&mut self, key: &str, node: &'a Node) -> Vec<(usize, &'a str)> {
        match &node.value {
            Value::List(list) => list.iter().filter_map(|node| self.text(key, node)).collect(),
            _ if node.is_nothing() => Vec::new(),
            _ => self.text(key, node).into_iter().collect(),
        }
    }

    fn check_keys(&mut self, map: &Map, known: &[&str]) {
        for (name, node) in map.iter().filter(|(name, _)| !known.contains(name)) {
            let other = OTHERS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            let own = other.map(|(_, own)| *own).filter(|own| known.contains(own));
            let hint = match own.or_else(|| meant(name, known.iter().copied())) {
                Some(own) => format!("did you mean `{own}`?"),
                None => {
                    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    format!("the keys here are {}", known.join(", "))
                }
            };
            self.wrong(
                line(node),
                format!("`{}` is not a key of this; {hint}", cut(name)),
            );
        }
    }
}

/// The line of a node.
fn line(node: &Node) -> usize {
    match node.place {
        Place::Line(line) => line,
        Place::Nowhere | Place::Variable(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match read(text) {
            Ok(entries) => panic!("{entries:?}"),
            Err(problems) => problems.iter().map(Problem::to_string).collect(),
        }
    }

    #[test]
    fn entries_take_what_they_leave_out_from_the_defaults() {
        let entries = read(
            "defaults:\n  to: r.test/mirror\n  platforms: [linux/amd64]\n  newest: 3\n  semver: '>=1'\n\
             sync:\n- from: s.test\n  repositories: [team/**]\n- from: s.test/app\n  tags: latest\n  newest:\n  semver: []\n  referrers: no\n",
        )
        .unwrap();
        let [all, one] = &entries[..] else {
            panic!("{entries:?}")
        };
        assert_eq!(
            (
                all.line,
                all.tags.newest,
                all.tags.ranges.len(),
                all.platforms.len()
            ),
            (7, Some(3), 1, 1)
        );
        assert_eq!(all.to.name.as_ref().map(RepoName::as_str), Some("mirror"));
        assert!(all.referrers && all.from.name.is_none());
        assert_eq!(
            (one.tags.newest, one.tags.ranges.len(), one.referrers),
            (None, 0, false)
        );
        assert!(one.tags.admits("latest") && !one.tags.admits("1.0"));
    }

    #[test]
    fn an_entry_fills_what_it_chooses_however_the_registry_is_written() {
        let entries = read(
            "sync:\n- {from: s.test, to: 'R.test:443/mirror', repositories: [team/**], not_repositories: [team/old]}\n\
             - {from: s.test/app, to: r.test}\n- {from: s.test/app, to: r.test/other}\n",
        )
        .unwrap();
        let fills = |place: usize, registry: &str, name: &str| -> bool {
            let entry: &Entry = &entries[place];
            entry.may_fill(registry, &name.parse().unwrap())
        };
        assert!(fills(0, "r.test", "mirror/team/a"));
        for (registry, name) in [
            ("r.test", "team/a"),
            ("r.test", "mirror/team/old"),
            ("r.test", "mirror/b"),
            ("s.test", "mirror/team/a"),
        ] {
            assert!(!fills(0, registry, name), "{registry}/{name}");
        }
        assert!(fills(1, "r.test", "app") && !fills(1, "r.test", "other"));
        assert!(fills(2, "r.test", "other") && !fills(2, "r.test", "app"));
    }

    #[test]
    fn each_mistake_has_its_line_and_a_hint() {
        let found = problems(
            "defalts: {}\nsync:\n- from: s.test/app\n  target: r.test\n  tagss: [x]\n- from: s.test/app:1\n  to: r.test\n  newest: 0\n",
        );
        for (line, hint) in [
            (1, "did you mean `defaults`?"),
            (3, "the entry has no `to`"),
            (4, "did you mean `to`?"),
            (5, "did you mean `tags`?"),
            (6, "tags stand in `tags`"),
            (8, "above 0"),
        ] {
            let line = format!("line {line}: ");
            assert!(
                found
                    .iter()
                    .any(|text| text.starts_with(&line) && text.contains(hint)),
                "{line}{hint}: {found:#?}"
            );
        }
        assert_eq!(found.len(), 6, "{found:#?}");
    }

    #[test]
    fn what_cannot_be_mirrored_is_refused() {
        for (text, reason) in [
            ("", "there is no list"),
            ("sync: []", "must be a list"),
            ("sync:\n- s.test/app", "a section with keys"),
            ("sync:\n- {from: s.test/app, to: s.test/app}", "are the same"),
            ("sync:\n- {from: s.test, to: s.test}", "are the same"),
            ("sync:\n- {from: 'S.test:443/app', to: s.test}", "are the same"),
            (
                "sync:\n- {from: s.test/app, to: r.test, repositories: [a]}",
                "for a whole registry",
            ),
            (
                "sync:\n- {from: s.test, to: r.test, tags: ['re:(']}",
                "cannot be read",
            ),
            (
                "sync:\n- {from: s.test, to: r.test, repositories: [A]}",
                "matches nothing",
            ),
            (
                "sync:\n- {from: s.test, to: r.test, semver: '>=1 <2'}",
                "no range of versions",
            ),
            (
                "sync:\n- {from: s.test, to: r.test, platforms: amd64}",
                "names no platform",
            ),
            ("sync: [\n", "not YAML"),
        ] {
            let found = problems(text);
            assert!(
                found.iter().any(|found| found.contains(reason)),
                "{text}: {found:?}"
            );
        }
    }
}
