//! The table of all keys, as a list and as a tree.

use std::sync::LazyLock;

use super::{
    access, activity, admin, auth, collect, compat, debug, health, history, http,
    keys::{Default, Key, KeyInfo, Status, keys},
    kind::Kind,
    limits, log, middleware, mirrors, notifications, paging, proxy, proxyheader, retention, scrub, storage,
    tokens, trash, ui, unsupported, validation,
};

keys! {
    pub(super) VERSION: Option<String> = Key::new("version")
        .shown_default(Default::Value("\"0.1\""))
        .help("The version of the format, which is 0.1; a file must have it");
}

/// Aliases of keys.
const ALIASES: &[KeyInfo] = &[
    KeyInfo::new("loglevel", Kind::Any, Status::Alias("log.level")),
    KeyInfo::new("storage.s3aws", Kind::Any, Status::Alias("storage.s3")),
    KeyInfo::new(
        "storage.cache.layerinfo",
        Kind::Any,
        Status::Alias("storage.cache.blobdescriptor"),
    ),
];

/// All keys.
static TABLE: LazyLock<Vec<KeyInfo>> = LazyLock::new(|| {
    let sections = [
        KEYS,
        log::KEYS,
        storage::KEYS,
        storage::s3::KEYS,
        storage::gcs::KEYS,
        storage::azure::KEYS,
        middleware::KEYS,
        mirrors::KEYS,
        proxy::KEYS,
        auth::KEYS,
        access::KEYS,
        proxyheader::KEYS,
        tokens::KEYS,
        admin::KEYS,
        http::KEYS,
        limits::KEYS,
        http::tls::KEYS,
        debug::KEYS,
        notifications::KEYS,
        ui::KEYS,
        activity::KEYS,
        scrub::KEYS,
        trash::KEYS,
        history::KEYS,
        retention::KEYS,
        collect::KEYS,
        health::KEYS,
        paging::KEYS,
        validation::KEYS,
        compat::KEYS,
    ];
    sections
        .into_iter()
        .flatten()
        .copied()
        .chain(unsupported::keys())
        .chain(ALIASES.iter().copied())
        .collect()
});

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let mut root = Schema::at(String::new());
    for key in TABLE.iter() {
        root.insert(key);
    }
    root
});

/// The keys as a tree.
#[derive(Debug)]
pub(super) struct Schema {
    /// Dotted path of the key, with `[]` for the elements of a list.
    pub(super) path: String,
    pub(super) key: Option<&'static KeyInfo>,
    children: Vec<(&'static str, Self)>,
    /// The schema of each element of a list.
    element: Option<Box<Self>>,
}

/// All keys, each once.
pub(super) fn all() -> impl Iterator<Item = &'static KeyInfo> {
    TABLE.iter()
}

/// The tree of all keys.
pub(super) fn schema() -> &'static Schema {
    &SCHEMA
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

    fn insert(&mut self, key: &'static KeyInfo) {
        let mut here = self;
        for part in key.path.split('.') {
            let (name, is_list) = match part.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (part, false),
            };
            here = here.child_or_new(name);
            if is_list {
                let path = format!("{}[]", here.path);
                here = here.element.get_or_insert_with(|| Box::new(Self::at(path)));
            }
        }
        here.key = Some(key);
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

    /// This key and the keys below it, each section before its keys.
    pub(super) fn keys(&self) -> Vec<&'static KeyInfo> {
        let below = self.children.iter().map(|(_, child)| child).chain(self.element());
        self.key.into_iter().chain(below.flat_map(Self::keys)).collect()
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
                    "{} is an alias of a key that does not exist",
                    key.path
                );
            }
            if key.status == Status::Works {
                assert!(!key.help.is_empty(), "{} has no sentence", key.path);
            }
            for words in [key.help, why(key)] {
                assert!(!words.ends_with('.'), "{}: {words}", key.path);
            }
            if let Default::Value(text) = key.default {
                let node = wharf_document::parse(text, &wharf_document::Place::Line)
                    .unwrap()
                    .root;
                let is_right = key.kind.problem(&node).is_none();
                assert!(is_right, "the default of {}", key.path);
            }
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }

    fn why(key: &KeyInfo) -> &'static str {
        match key.status {
            Status::Accepted(why) | Status::Warned(why) | Status::Refused(why) => why,
            Status::Works | Status::AsAbove | Status::Alias(_) => "",
        }
    }
}
