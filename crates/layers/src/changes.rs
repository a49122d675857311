//! In which files two images differ.

use crate::{Entry, Node, Tree};

/// The files that are not the same in two images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that only the second one has, in the order of their paths
    pub added: Vec<Change>,
    /// Files that only the first one has
    pub removed: Vec<Change>,
    /// Files that both have, and that are not the same
    pub changed: Vec<Change>,
}

/// A file that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path from the root of the images
    pub path: String,
    /// Bytes before and after; 0 for what is not there
    pub sizes: [u64; 2],
    /// What changed of a file that both have: the new kind alone, or some of `content`, `target`, `mode` and `owner`
    pub what: Vec<&'static str>,
}

impl Changes {
    /// The changes from `old` to `new`. Two files with different notes have different content.
    pub fn between<T: PartialEq>(old: &Tree<T>, new: &Tree<T>) -> Self {
        let mut changes = Self::default();
        for (path, node) in new.files() {
            match old.get(path) {
                None => changes.added.push(Change::of(path, [0, node.entry.size])),
                Some(before) => {
                    let what = differences(before, node);
                    if !what.is_empty() {
                        let sizes = [before.entry.size, node.entry.size];
                        changes.changed.push(Change {
                            what,
                            ..Change::of(path, sizes)
                        });
                    }
                }
            }
        }
        for (path, node) in old.files() {
            if new.get(path).is_none() {
                changes.removed.push(Change::of(path, [node.entry.size, 0]));
            }
        }
        changes
    }

    /// All changes in the order of the paths, each with its sign: `+`, `-` or `~`.
    pub fn all(&self) -> Vec<(&'static str, &Change)> {
        let lists = [("+", &self.added), ("-", &self.removed), ("~", &self.changed)];
        let each = lists
            .into_iter()
            .flat_map(|(sign, changes)| changes.iter().map(move |change| (sign, change)));
        let mut all: Vec<(&'static str, &Change)> = each.collect();
        all.sort_by(|one, other| one.1.path.cmp(&other.1.path));
        all
    }
}

impl Change {
    fn of(path: &str, sizes: [u64; 2]) -> Self {
        Self {
            path: path.to_owned(),
            sizes,
            what: Vec::new(),
        }
    }
}

/// In what two files at one path differ. The time of change does not count: each build sets it anew.
fn differences<T: PartialEq>(old: &Node<T>, new: &Node<T>) -> Vec<&'static str> {
    let (one, other): (&Entry, &Entry) = (&old.entry, &new.entry);
    if one.kind != other.kind {
        return vec![other.kind.as_str()];
    }
    let mut what = Vec::new();
    if one.size != other.size || old.note != new.note {
        what.push("content");
    }
    if one.link != other.link {
        what.push("target");
    }
    if one.mode != other.mode {
        what.push("mode");
    }
    if (one.user, one.group) != (other.user, other.group) {
        what.push("owner");
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn tree(files: &[(&str, Kind, u32, u8)]) -> Tree<u8> {
        let mut tree = Tree::default();
        for (path, kind, mode, note) in files {
            let entry = Entry {
                path: (*path).to_owned(),
                kind: *kind,
                size: 1,
                mode: *mode,
                user: 0,
                group: 0,
                modified: u64::from(*note),
                link: None,
            };
            tree.add(entry, *note).unwrap();
        }
        tree.end_layer();
        tree
    }

    #[test]
    fn files_are_compared_by_what_they_are_and_hold() {
        let old = tree(&[
            ("a", Kind::File, 0o644, 1),
            ("b", Kind::File, 0o644, 1),
            ("c", Kind::File, 0o644, 1),
            ("d", Kind::File, 0o644, 1),
        ]);
        let new = tree(&[
            ("a", Kind::File, 0o644, 1),
            ("b", Kind::File, 0o755, 2),
            ("c", Kind::Fifo, 0o644, 1),
            ("e", Kind::File, 0o644, 1),
        ]);
        let changes = Changes::between(&old, &new);
        let all: Vec<(&str, &str, &[&str])> = changes
            .all()
            .into_iter()
            .map(|(sign, change)| (sign, change.path.as_str(), change.what.as_slice()))
            .collect();
        assert_eq!(
            all,
            [
                ("~", "b", &["content", "mode"][..]),
                ("~", "c", &["fifo"]),
                ("-", "d", &[]),
                ("+", "e", &[]),
            ]
        );
        assert_eq!(changes.removed[0].sizes, [1, 0]);
        assert_eq!(Changes::between(&old, &old), Changes::default());
    }
}
