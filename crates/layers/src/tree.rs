//! Layers laid one over the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use crate::{
    Entry, Error, Kind, Result,
    path::{clean, join, split},
};

/// How many files a tree has at most: some hundred MiB in memory.
pub const MOST_FILES: usize = 1_000_000;

/// How many symbolic links are followed on the way to a file, as Linux does.
const MOST_LINKS: usize = 40;

/// Marks a name as taken away.
const WHITEOUT: &str = ".wh.";
/// In a directory: nothing of lower layers shows in it.
const OPAQUE: &str = ".wh..wh..opq";

/// What a name in a directory of a layer means (image specification, layer.md, "Whiteouts").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Nothing of lower layers shows in the directory.
    Opaque,
    /// This name is taken away.
    Removed(&'a str),
    /// It is the name of a file.
    File,
}

impl<'a> Mark<'a> {
    /// What `name` means.
    pub fn of(name: &'a str) -> Self {
        match name.strip_prefix(WHITEOUT) {
            _ if name == OPAQUE => Self::Opaque,
            Some(removed) => Self::Removed(removed),
            None => Self::File,
        }
    }
}

/// A file that an image shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<T> {
    /// What the layer says of it
    pub entry: Entry,
    /// Number of the layer that it comes from, counted from the lowest, 0
    pub layer: usize,
    /// What the reader of the layers found out about it
    pub note: T,
}

/// The files that the layers of an image show, each with a note of type `T` that the reader of the layers makes.
#[derive(Debug)]
pub struct Tree<T> {
    nodes: BTreeMap<Box<str>, Node<T>>,
    layers: usize,
    most: usize,
    above: Layer<T>,
}

/// What the layer that is being read has.
#[derive(Debug)]
struct Layer<T> {
    nodes: BTreeMap<Box<str>, Node<T>>,
    /// Paths that it takes away from the layers below
    gone: BTreeSet<Box<str>>,
    /// Directories in which nothing of the layers below shows
    opaque: BTreeSet<Box<str>>,
}

impl<T> Default for Layer<T> {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            gone: BTreeSet::new(),
            opaque: BTreeSet::new(),
        }
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            layers: 0,
            most: MOST_FILES,
            above: Layer::default(),
        }
    }
}

impl<T> Tree<T> {
    /// A tree without files that has at most `most` of them.
    pub fn of_at_most(most: usize) -> Self {
        Self {
            most: most.min(MOST_FILES),
            ..Self::default()
        }
    }

    /// Adds an entry of the layer that is being read, with a `note` about it. The order of the entries in a layer does not matter,
    /// but that the last of two with one path counts.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyFiles`].
    pub fn add(&mut self, entry: Entry, note: T) -> Result<()> {
        let (directory, name) = split(&entry.path);
        match Mark::of(name) {
            Mark::Opaque => _ = self.above.opaque.insert(directory.into()),
            Mark::Removed(gone) => _ = self.above.gone.insert(join(directory, gone).into()),
            Mark::File if entry.path.is_empty() => {}
            Mark::File => {
                let node = Node {
                    layer: self.layers,
                    note,
                    entry,
                };
                self.above.nodes.insert(node.entry.path.clone().into(), node);
            }
        }
        let above = self.above.nodes.len() + self.above.gone.len() + self.above.opaque.len();
        match self.nodes.len() + above > self.most {
            true => Err(Error::TooManyFiles(self.most)),
            false => Ok(()),
        }
    }

    /// Ends a layer: what is added from now on is of the next one, above it.
    pub fn end_layer(&mut self) {
        let Layer { nodes, gone, opaque } = std::mem::take(&mut self.above);
        for path in gone {
            self.nodes.remove(&path);
            self.remove_below(&path);
        }
        for directory in opaque {
            self.remove_below(&directory);
        }
        for (path, node) in nodes {
            let replaced = self.nodes.get(&path);
            // What is no directory hides all that a lower layer has below that path.
            if replaced.is_some_and(|replaced| replaced.entry.kind == Kind::Directory)
                && node.entry.kind != Kind::Directory
            {
                self.remove_below(&path);
            }
            self.nodes.insert(path, node);
        }
        self.layers += 1;
    }

    fn remove_below(&mut self, directory: &str) {
        let below: Vec<Box<str>> = self.below(directory).map(|(path, _)| path.into()).collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }

    /// All files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Node<T>)> {
        self.nodes.iter().map(|(path, node)| (&**path, node))
    }

    /// All files below `directory`, at any depth.
    pub fn below<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Node<T>)> + use<'a, T> {
        let prefix = match directory {
            "" => String::new(),
            directory => format!("{directory}/"),
        };
        self.nodes
            .range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, node)| (&**path, node))
    }

    /// The file at `path`, a clean one. A directory that no layer has an entry of, and that has files, is not found here.
    pub fn get(&self, path: &str) -> Option<&Node<T>> {
        self.nodes.get(path)
    }

    /// The path to which symbolic links on the way of `path` lead, the last part included: that of a file, or of a directory, as far
    /// as the layers have one. `None` when they go in a circle, or out of the image.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut left: Vec<String> = parts(path);
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                // The root is its own parent.
                ".." => {
                    done = split(&done).0.to_owned();
                    continue;
                }
                _ => {}
            }
            let next = join(&done, &part);
            let target = self.nodes.get(&*next).and_then(|node| match node.entry.kind {
                Kind::Symlink => node.entry.link.as_deref(),
                _ => None,
            });
            let Some(target) = target else {
                done = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return None;
            }
            if target.starts_with('/') {
                done.clear();
            }
            left.extend(parts(target));
        }
        Some(done)
    }

    /// The file that has the bytes of `node`: the one of another name, if it is a hard link.
    pub fn linked<'a>(&'a self, node: &'a Node<T>) -> Option<&'a Node<T>> {
        match node.entry.kind {
            Kind::Hardlink => self.get(&clean(node.entry.link.as_deref()?)?),
            _ => Some(node),
        }
    }
}

/// The parts of a path, the first one last.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind, link: Option<&str>) -> Entry {
        Entry {
            path: path.to_owned(),
            kind,
            size: 0,
            mode: 0o644,
            user: 0,
            group: 0,
            modified: 0,
            link: link.map(str::to_owned),
        }
    }

    /// A tree of layers of names; one with a slash at its end is a directory, `a>b` is a symbolic link.
    fn tree(layers: &[&[&str]]) -> Tree<()> {
        let mut tree = Tree::default();
        for layer in layers {
            for name in *layer {
                let entry = match (name.strip_suffix('/'), name.split_once('>')) {
                    (Some(directory), _) => entry(directory, Kind::Directory, None),
                    (None, Some((link, target))) => entry(link, Kind::Symlink, Some(target)),
                    (None, None) => entry(name, Kind::File, None),
                };
                tree.add(entry, ()).unwrap();
            }
            tree.end_layer();
        }
        tree
    }

    fn names(tree: &Tree<()>) -> Vec<&str> {
        tree.files().map(|(path, _)| path).collect()
    }

    #[test]
    fn a_whiteout_takes_a_path_and_all_below_it_from_lower_layers_only() {
        let tree = tree(&[&["a/", "a/x", "a/y/z", "a.b"], &["a/new", ".wh.a", "a/"]]);
        assert_eq!(names(&tree), ["a", "a.b", "a/new"]);
        assert_eq!(tree.get("a/new").unwrap().layer, 1);
    }

    #[test]
    fn an_opaque_directory_shows_nothing_of_lower_layers() {
        let tree = tree(&[&["a/", "a/x", "a/y/z", "b"], &["a/new", "a/.wh..wh..opq"]]);
        assert_eq!(names(&tree), ["a", "a/new", "b"]);
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_hides_what_was_below() {
        let replaced = tree(&[&["a/", "a/x"], &["a"]]);
        assert_eq!(names(&replaced), ["a"]);
        let kept = tree(&[&["a/", "a/x"], &["a/"]]);
        assert_eq!(names(&kept), ["a", "a/x"]);
    }

    #[test]
    fn links_are_followed_within_the_image() {
        let tree = tree(&[&[
            "bin>usr/bin",
            "usr/bin/sh>../lib/sh",
            "usr/lib/sh",
            "up>../../etc",
            "etc/x",
            "abs>/etc",
            "a>b",
            "b>a",
        ]]);
        for (path, resolved) in [
            ("bin/sh", Some("usr/lib/sh")),
            ("up/x", Some("etc/x")),
            ("abs/x", Some("etc/x")),
            ("none/at/all", Some("none/at/all")),
            ("a", None),
        ] {
            assert_eq!(tree.resolve(path).as_deref(), resolved, "{path}");
        }
    }

    #[test]
    fn a_tree_has_a_limit() {
        let mut tree = Tree::of_at_most(2);
        tree.add(entry("a", Kind::File, None), ()).unwrap();
        tree.add(entry(".wh.b", Kind::File, None), ()).unwrap();
        let full = tree.add(entry("c", Kind::File, None), ()).unwrap_err();
        assert!(matches!(full, Error::TooManyFiles(2)));
    }
}
