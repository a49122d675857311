//! Every key of the configuration: its type, its default, and what becomes of it.
//!
//! The one place of truth. Each section's module has the keys of its section; from them come the search for unknown
//! keys, the types, the refusals, the names of the environment's variables, `wharf config show` and the table in
//! `docs/configuration.md`.

use std::sync::OnceLock;

use super::{
    auth, compat, debug, health, http, later, log, notifications, paging, proxy, storage, validation,
};

/// A key. Below a list stands `[]`: `health.http[].uri`.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Default,
    pub(super) status: Status,
    /// What it is, in one sentence without a full stop.
    pub(super) says: &'static str,
    /// Which registries know it.
    pub(super) since: Since,
    /// How registry:2 calls it in names of variables, if otherwise.
    pub(super) variable: Option<&'static str>,
}

/// What may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keys.
    Section,
    /// Keys, or none; that it is there means something.
    Named,
    /// Keys, or the name of one that has none: `storage: inmemory`.
    Choice,
    /// A list of sections.
    List,
    Text,
    /// A text that nobody is to see.
    Secret,
    Boolean,
    Number,
    Duration,
    /// One of these, in any letter case.
    Word(&'static [&'static str]),
    /// A list of texts; one text is a list of one.
    Texts,
    /// Names of headers, each with a list of values.
    Headers {
        is_secret: bool,
    },
    /// Any names, each with a text.
    Fields,
    /// Anything.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Default {
    None,
    /// As YAML.
    Value(&'static str),
    /// It depends; in words.
    Words(&'static str),
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Works,
    /// It asks for what we do anyway, or for nothing; why.
    Accepted(&'static str),
    /// It has no effect, and the operator is told; why.
    Warned(&'static str),
    /// The server does not start with it; why, and what to do.
    Refused(&'static str),
    /// As the section above it.
    AsAbove,
    /// Another name of this key.
    Alias(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// registry:2 and registry:3.
    Both,
    /// Only registry:2.
    Only2,
    /// registry:3, or a release of it.
    From3(&'static str),
    /// Only wharf.
    Ours,
}

impl Key {
    pub(super) const fn works(path: &'static str, kind: Kind, default: Default, says: &'static str) -> Self {
        Self::new(path, kind, default, Status::Works, says)
    }

    pub(super) const fn accepted(path: &'static str, kind: Kind, why: &'static str) -> Self {
        Self::new(path, kind, Default::None, Status::Accepted(why), "")
    }

    pub(super) const fn warned(path: &'static str, kind: Kind, why: &'static str) -> Self {
        Self::new(path, kind, Default::None, Status::Warned(why), "")
    }

    pub(super) const fn refused(path: &'static str, kind: Kind, why: &'static str) -> Self {
        Self::new(path, kind, Default::None, Status::Refused(why), "")
    }

    /// A key of a section that is itself refused, warned about, or accepted.
    pub(super) const fn below(path: &'static str, kind: Kind) -> Self {
        Self::new(path, kind, Default::None, Status::AsAbove, "")
    }

    pub(super) const fn alias(path: &'static str, of: &'static str) -> Self {
        Self::new(path, Kind::Any, Default::None, Status::Alias(of), "")
    }

    const fn new(
        path: &'static str,
        kind: Kind,
        default: Default,
        status: Status,
        says: &'static str,
    ) -> Self {
        Self {
            path,
            kind,
            default,
            status,
            says,
            since: Since::Both,
            variable: None,
        }
    }

    pub(super) const fn since(mut self, since: Since) -> Self {
        self.since = since;
        self
    }

    pub(super) const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }
}

/// All keys, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    [
        later::ROOT,
        log::KEYS,
        storage::KEYS,
        later::STORAGE,
        auth::KEYS,
        http::KEYS,
        http::tls::KEYS,
        debug::KEYS,
        notifications::KEYS,
        health::KEYS,
        paging::KEYS,
        validation::KEYS,
        proxy::KEYS,
        compat::KEYS,
        later::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// The keys as a tree.
#[derive(Debug)]
pub(super) struct Schema {
    /// Dotted, with `[]` for the elements of a list.
    pub(super) path: String,
    pub(super) key: Option<&'static Key>,
    children: Vec<(&'static str, Self)>,
    /// What each element of a list is like.
    element: Option<Box<Self>>,
}

/// The tree of all keys.
pub(super) fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut root = Schema::at(String::new());
        for key in all() {
            let mut here = &mut root;
            for part in key.path.split('.') {
                let (name, is_list) = match part.strip_suffix("[]") {
                    Some(name) => (name, true),
                    None => (part, false),
                };
                here = here.child_or_new(name);
                if is_list {
                    let path = format!("{}[]", here.path);
                    here = here.element.get_or_insert_with(|| Box::new(Schema::at(path)));
                }
            }
            here.key = Some(key);
        }
        root
    })
}

impl Schema {
    fn at(path: String) -> Self {
        Self {
            path,
            key: None,
            children: Vec::new(),
            element: None,
        }
    }

    fn child_or_new(&mut self, name: &'static str) -> &mut Self {
        let index = match self.children.iter().position(|(known, _)| *known == name) {
            Some(index) => index,
            None => {
                let path = below(&self.path, name);
                self.children.push((name, Self::at(path)));
                self.children.len() - 1
            }
        };
        &mut self.children[index].1
    }

    pub(super) fn kind(&self) -> Kind {
        self.key.map_or(Kind::Section, |key| key.kind)
    }

    pub(super) fn status(&self) -> Status {
        self.key.map_or(Status::Works, |key| key.status)
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (&'static str, &Self)> {
        self.children.iter().map(|(name, child)| (*name, child))
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children()
            .find(|(known, _)| *known == name)
            .map(|(_, child)| child)
    }

    pub(super) fn element(&self) -> Option<&Self> {
        self.element.as_deref()
    }

    /// The key at a dotted path.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |here, name| here.child(name))
    }
}

/// `name` below `path`.
pub(super) fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_consistent() {
        let mut seen = HashSet::new();
        for key in all() {
            assert!(seen.insert(key.path), "{} stands twice", key.path);
            assert_eq!(key.path, key.path.to_ascii_lowercase());
            if let Status::Alias(of) = key.status {
                assert!(
                    schema().find(of).is_some_and(|key| key.key.is_some()),
                    "{} is another name of nothing",
                    key.path
                );
            }
            if key.status == Status::Works {
                assert!(!key.says.is_empty(), "{} has no sentence", key.path);
            }
            for words in [key.says, why(key)] {
                assert!(!words.ends_with('.'), "{}: {words}", key.path);
            }
            if let Default::Value(text) = key.default {
                let node = super::super::yaml::parse(text, &super::super::tree::Place::Line)
                    .unwrap()
                    .root;
                let is_right = super::super::check::type_problem(key.kind, &node).is_none();
                assert!(is_right, "the default of {}", key.path);
            }
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }

    fn why(key: &Key) -> &'static str {
        match key.status {
            Status::Accepted(why) | Status::Warned(why) | Status::Refused(why) => why,
            Status::Works | Status::AsAbove | Status::Alias(_) => "",
        }
    }
}
