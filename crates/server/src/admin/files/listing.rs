//! A page of what a layer has in one directory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf_layers::{Entry, Kind, Mark};

use super::index::LayerIndex;
use crate::admin::wire;

/// What is wanted of the files of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesWanted {
    /// Number of the layer, counted from the lowest, 1.
    pub layer: usize,
    /// The directory, a clean path without a slash around it; empty for the root.
    pub path: String,
    /// A text that the paths have, in upper or lower case: then files at any depth are listed; `None`: what lies in the directory itself.
    pub matching: Option<String>,
    /// The name after which the page begins; `None`: at the start.
    pub after: Option<String>,
    /// How many files the page has at most.
    pub limit: usize,
}

/// A page of files.
#[derive(Debug, Default)]
pub(super) struct FilePage {
    pub(super) files: Vec<wire::LayerFile>,
    pub(super) next: Option<String>,
    /// Whether nothing of lower layers shows in the directory.
    pub(super) is_opaque: bool,
}

/// One row before it is shown.
#[derive(Clone, Copy)]
struct Row<'a> {
    /// `None`: a directory that the layer has no entry of, and files in it.
    entry: Option<&'a Entry>,
    is_removed: bool,
}

/// The files that are `wanted`, in the order of their names.
pub(super) fn listed(index: &LayerIndex, wanted: &FilesWanted) -> FilePage {
    let prefix = match wanted.path.as_str() {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let text = wanted.matching.as_deref().map(str::to_lowercase);
    let after = wanted.after.as_deref().unwrap_or_default();
    let mut page = FilePage::default();
    let mut rows: BTreeMap<String, Row<'_>> = BTreeMap::new();
    for file in &index.entries {
        let Some(below) = file
            .entry
            .path
            .strip_prefix(&prefix)
            .filter(|below| !below.is_empty())
        else {
            continue;
        };
        if Mark::of(below) == Mark::Opaque {
            page.is_opaque = true;
            continue;
        }
        let (name, row) = match (&text, below.split_once('/')) {
            (None, Some((directory, _))) => {
                let implied = Row {
                    entry: None,
                    is_removed: false,
                };
                (directory.to_owned(), implied)
            }
            _ => named(below, &file.entry),
        };
        let is_wanted = text
            .as_ref()
            .is_none_or(|text| name.to_lowercase().contains(text));
        let last = name.rsplit('/').next().unwrap_or_default();
        if !is_wanted || Mark::of(last) == Mark::Opaque || name.as_str() <= after {
            continue;
        }
        // What a directory is, is said by its own entry.
        match rows.get(&name) {
            Some(known) if known.entry.is_some() && row.entry.is_none() => {}
            _ => _ = rows.insert(name, row),
        }
        // One more than a page has shows that there is another one.
        if rows.len() > wanted.limit + 1 {
            rows.pop_last();
        }
    }
    if rows.len() > wanted.limit {
        rows.pop_last();
        page.next = rows.last_key_value().map(|(name, _)| name.clone());
    }
    page.files = rows
        .into_iter()
        .map(|(name, row)| shown(name, &prefix, row))
        .collect();
    page
}

/// The name under which an entry is listed. A mark that a name was taken away has that name.
fn named<'a>(below: &str, entry: &'a Entry) -> (String, Row<'a>) {
    let (directory, last) = match below.rsplit_once('/') {
        Some((directory, last)) => (format!("{directory}/"), last),
        None => (String::new(), below),
    };
    let removed = match Mark::of(last) {
        // Other names that begin as marks do are of the program that made the layer.
        Mark::Removed(name) if Mark::of(name) == Mark::File => Some(name),
        _ => None,
    };
    let row = Row {
        entry: Some(entry),
        is_removed: removed.is_some(),
    };
    (format!("{directory}{}", removed.unwrap_or(last)), row)
}

fn shown(name: String, prefix: &str, row: Row<'_>) -> wire::LayerFile {
    let path = format!("{prefix}{name}");
    let Row { entry, is_removed } = row;
    let Some(entry) = entry.filter(|_| !is_removed) else {
        return wire::LayerFile {
            name,
            path,
            kind: (!is_removed).then(|| Kind::Directory.as_str().to_owned()),
            removed: is_removed,
            ..wire::LayerFile::default()
        };
    };
    let modified = i64::try_from(entry.modified).ok();
    let modified = modified.and_then(|seconds| Timestamp::from_second(seconds).ok());
    wire::LayerFile {
        name,
        path,
        kind: Some(entry.kind.as_str().to_owned()),
        size: (entry.kind == Kind::File).then_some(entry.size),
        mode: Some(format!("{:04o}", entry.mode)),
        user: Some(entry.user),
        group: Some(entry.group),
        modified: modified.map(|time| time.to_string()),
        link: entry.link.clone(),
        removed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::index::IndexedFile, *};

    fn index(paths: &[&str]) -> LayerIndex {
        let entries = paths.iter().map(|path| {
            let (path, kind) = match path.strip_suffix('/') {
                Some(path) => (path, Kind::Directory),
                None => (*path, Kind::File),
            };
            IndexedFile {
                entry: Entry {
                    path: path.to_owned(),
                    kind,
                    size: 3,
                    mode: 0o644,
                    user: 0,
                    group: 0,
                    modified: 0,
                    link: None,
                },
                content: None,
            }
        });
        LayerIndex {
            entries: entries.collect(),
            ..LayerIndex::default()
        }
    }

    fn wanted(path: &str) -> FilesWanted {
        FilesWanted {
            layer: 1,
            path: path.to_owned(),
            matching: None,
            after: None,
            limit: 2,
        }
    }

    fn names(page: &FilePage) -> Vec<&str> {
        page.files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn a_directory_is_listed_by_page_with_what_was_removed() {
        let index = index(&[
            "etc/",
            "usr/bin/sh",
            "etc/b",
            "etc/.wh.a",
            "etc/.wh..wh..opq",
            "etc/c/d",
            "etcetera",
        ]);
        let root = listed(&index, &wanted(""));
        assert_eq!(
            (names(&root), root.next.as_deref()),
            (vec!["etc", "etcetera"], Some("etcetera"))
        );
        let more = FilesWanted {
            after: root.next,
            ..wanted("")
        };
        let rest = listed(&index, &more);
        assert_eq!((names(&rest), rest.next.as_deref()), (vec!["usr"], None));
        assert_eq!(
            rest.files[0].kind.as_deref(),
            Some("directory"),
            "it has no entry of its own"
        );
        let etc = FilesWanted {
            limit: 9,
            ..wanted("etc")
        };
        let etc = listed(&index, &etc);
        assert!(etc.is_opaque);
        assert_eq!(names(&etc), ["a", "b", "c"]);
        assert!(etc.files[0].removed && etc.files[0].kind.is_none());
        assert_eq!(
            (etc.files[1].path.as_str(), etc.files[1].size),
            ("etc/b", Some(3))
        );
    }

    #[test]
    fn files_are_found_by_their_names_at_any_depth() {
        let index = index(&["usr/bin/sh", "usr/bin/Bash", "usr/.wh.ash", "usr/lib/x"]);
        let matching = FilesWanted {
            matching: Some("SH".to_owned()),
            limit: 9,
            ..wanted("usr")
        };
        let page = listed(&index, &matching);
        assert_eq!(names(&page), ["ash", "bin/Bash", "bin/sh"]);
        assert!(page.files[0].removed);
    }
}
