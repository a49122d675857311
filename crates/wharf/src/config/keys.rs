//! A key of the configuration: its name, type, default and effect, written once, where the key is read.
//!
//! [`table`](super::table) has all keys. From them come the search for unknown keys, the types, the refusals, the names
//! of the environment's variables, `wharf config show` and the table in `docs/configuration.md`.

use std::{marker::PhantomData, time::Duration};

use wharf_document::{Node, Place, Scalar, Value as Written};

use super::kind::Kind;

/// A key whose value is read as a `T`.
///
/// A key with a default has the type of its value. Without one it is an `Option`; and lists, headers and fields are
/// empty where the key is absent.
pub(super) struct Key<T> {
    info: KeyInfo,
    value: PhantomData<fn() -> T>,
}

/// A key without its type, for tables of keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyInfo {
    /// Dotted name. Elements of a list are written `[]`: `health.http[].uri`.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Default,
    pub(super) status: Status,
    /// Description of the effect, in one sentence without a full stop.
    pub(super) help: &'static str,
    /// The registries that have the key.
    pub(super) since: Since,
    /// Name of the key in environment variables, if registry:2 has another name there.
    pub(super) variable: Option<&'static str>,
}

/// The value of a key that is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Default {
    None,
    /// A value, as YAML.
    Value(&'static str),
    /// A description of a default that depends on other keys.
    Words(&'static str),
}

/// Whether a key is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Works,
    /// The key is not needed: wharf does what it asks for anyway. Has the reason.
    Accepted(&'static str),
    /// The key has no effect, and a warning says so. Has the reason.
    Warned(&'static str),
    /// The server does not start with the key. Has the reason, and what to do.
    Refused(&'static str),
    /// The status of the section above it.
    AsAbove,
    /// Another name of the given key.
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

/// A type that a value in the configuration is read as.
pub(super) trait Value: Sized {
    const KIND: Kind;

    /// Reads a node of this type. `None`: the default is used, for example for an empty text.
    fn read(node: &Node) -> Option<Self>;
}

/// A type that a key may have: a [`Value`], or an `Option` of one.
pub(super) trait Setting {
    /// Reads the node at `key`, if it is of its type; otherwise the default.
    fn of(key: &KeyInfo, node: Option<&Node>) -> Self;
}

/// The type of keys that have keys below them.
pub(super) enum Group {}

/// The type of keys that have a list of sections.
pub(super) enum List {}

/// A text that is never shown.
pub(super) struct Secret(pub(super) String);

/// A number or a duration above zero; for others the default is used.
pub(super) struct Positive<T>(pub(super) T);

/// A number other than zero; for zero the default is used.
pub(super) struct NonZero(pub(super) i64);

/// Names, each with its texts: headers, or fields.
pub(super) type Pairs = Vec<(String, Vec<String>)>;

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> From<Key<T>> for KeyInfo {
    fn from(key: Key<T>) -> Self {
        key.info
    }
}

impl<T: Value> Key<Option<T>> {
    pub(super) const fn new(path: &'static str) -> Self {
        Self::of(path, T::KIND)
    }

    /// The default, as YAML.
    pub(super) const fn default(self, yaml: &'static str) -> Key<T> {
        let mut key = Key::of(self.info.path, self.info.kind);
        key.info.default = Default::Value(yaml);
        key
    }

    /// A default for documentation only: the code that reads the key computes the value if the key is absent.
    pub(super) const fn shown_default(mut self, default: Default) -> Self {
        self.info.default = default;
        self
    }
}

impl Key<Vec<String>> {
    pub(super) const fn list(path: &'static str) -> Self {
        Self::of(path, Kind::Texts)
    }

    pub(super) const fn default_in_words(mut self, words: &'static str) -> Self {
        self.info.default = Default::Words(words);
        self
    }
}

impl Key<Pairs> {
    pub(super) const fn headers(path: &'static str) -> Self {
        Self::of(path, Kind::Headers { is_secret: false })
    }

    /// Headers that wharf sends to other servers; they may hold a password.
    pub(super) const fn secret_headers(path: &'static str) -> Self {
        Self::of(path, Kind::Headers { is_secret: true })
    }

    pub(super) const fn fields(path: &'static str) -> Self {
        Self::of(path, Kind::Fields { is_secret: false })
    }

    /// Fields that may hold a password.
    pub(super) const fn secret_fields(path: &'static str) -> Self {
        Self::of(path, Kind::Fields { is_secret: true })
    }
}

impl Key<Group> {
    pub(super) const fn section(path: &'static str) -> Self {
        Self::of(path, Kind::Section)
    }

    /// A section whose presence has an effect.
    pub(super) const fn named(path: &'static str) -> Self {
        Self::of(path, Kind::Named)
    }

    /// A section, or the name of one in it; `default` in words.
    pub(super) const fn choice(path: &'static str, default: &'static str) -> Self {
        let mut key = Self::of(path, Kind::Choice);
        key.info.default = Default::Words(default);
        key
    }
}

impl Key<List> {
    pub(super) const fn sections(path: &'static str) -> Self {
        Self::of(path, Kind::List)
    }
}

impl<T> Key<T> {
    const fn of(path: &'static str, kind: Kind) -> Self {
        Self {
            info: KeyInfo::new(path, kind, Status::Works),
            value: PhantomData,
        }
    }

    pub(super) const fn help(mut self, sentence: &'static str) -> Self {
        self.info.help = sentence;
        self
    }

    pub(super) const fn since(mut self, since: Since) -> Self {
        self.info.since = since;
        self
    }

    pub(super) const fn variable(mut self, name: &'static str) -> Self {
        self.info.variable = Some(name);
        self
    }

    pub(super) const fn status(mut self, status: Status) -> Self {
        self.info.status = status;
        self
    }

    pub(super) const fn info(self) -> KeyInfo {
        self.info
    }
}

impl KeyInfo {
    /// The last part of its path.
    pub(super) fn name(self) -> &'static str {
        self.path.rsplit(['.', ']']).next().unwrap_or(self.path)
    }

    pub(super) const fn new(path: &'static str, kind: Kind, status: Status) -> Self {
        Self {
            path,
            kind,
            default: Default::None,
            status,
            help: "",
            since: Since::Both,
            variable: None,
        }
    }

    pub(super) const fn since(mut self, since: Since) -> Self {
        self.since = since;
        self
    }
}

impl<T: Value> Setting for Option<T> {
    fn of(_: &KeyInfo, node: Option<&Node>) -> Self {
        node.and_then(T::read)
    }
}

impl<T: Value> Setting for T {
    fn of(key: &KeyInfo, node: Option<&Node>) -> Self {
        let default = || {
            let text = match key.default {
                Default::Value(text) => text.to_owned(),
                Default::None | Default::Words(_) => String::new(),
            };
            let is_plain = true;
            T::read(&Node::new(
                Place::Nowhere,
                Written::Scalar(Scalar { text, is_plain }),
            ))
        };
        match node.and_then(T::read).or_else(default) {
            Some(value) => value,
            None => unreachable!(
                "a test reads the default of every key, also that of `{}`",
                key.path
            ),
        }
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Boolean;

    fn read(node: &Node) -> Option<Self> {
        node.scalar()?.boolean()
    }
}

impl Value for i64 {
    const KIND: Kind = Kind::Number;

    fn read(node: &Node) -> Option<Self> {
        node.scalar()?.integer()
    }
}

impl Value for u32 {
    const KIND: Kind = Kind::Number;

    fn read(node: &Node) -> Option<Self> {
        i64::read(node)?.try_into().ok()
    }
}

impl Value for usize {
    const KIND: Kind = Kind::Number;

    fn read(node: &Node) -> Option<Self> {
        i64::read(node)?.try_into().ok()
    }
}

impl<T: Value + PartialOrd + std::default::Default> Value for Positive<T> {
    const KIND: Kind = T::KIND;

    fn read(node: &Node) -> Option<Self> {
        T::read(node).filter(|value| *value > T::default()).map(Self)
    }
}

impl Value for NonZero {
    const KIND: Kind = Kind::Number;

    fn read(node: &Node) -> Option<Self> {
        i64::read(node).filter(|&number| number != 0).map(Self)
    }
}

/// Durations as Go writes them: `168h`, `1m30s`, or a number of nanoseconds.
impl Value for Duration {
    const KIND: Kind = Kind::Duration;

    fn read(node: &Node) -> Option<Self> {
        node.scalar()?.duration()
    }
}

/// An empty text counts as absent.
impl Value for String {
    const KIND: Kind = Kind::Text;

    fn read(node: &Node) -> Option<Self> {
        let text = &node.scalar()?.text;
        (!text.is_empty()).then(|| text.clone())
    }
}

impl Value for Secret {
    const KIND: Kind = Kind::Secret;

    fn read(node: &Node) -> Option<Self> {
        String::read(node).map(Self)
    }
}

/// A single text counts as a list of one.
impl Value for Vec<String> {
    const KIND: Kind = Kind::Texts;

    fn read(node: &Node) -> Option<Self> {
        Some(texts(node))
    }
}

impl Setting for Pairs {
    fn of(_: &KeyInfo, node: Option<&Node>) -> Self {
        let map = node.and_then(Node::map).into_iter();
        map.flat_map(|map| map.iter().map(|(name, node)| (name.to_owned(), texts(node))))
            .collect()
    }
}

fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Written::List(list) => list
            .iter()
            .filter_map(Node::scalar)
            .map(|scalar| scalar.text.clone())
            .collect(),
        Written::Scalar(scalar) if !scalar.is_nothing() => vec![scalar.text.clone()],
        Written::Scalar(_) | Written::Map(_) => Vec::new(),
    }
}

/// Defines keys, and `KEYS`, the list of all of them: a key that is read is in the table.
macro_rules! keys {
    ($($visibility:vis $name:ident: $type:ty = $key:expr;)+) => {
        $($visibility const $name: $crate::config::keys::Key<$type> = $key;)+

        /// The keys of this file.
        pub(in $crate::config) const KEYS: &[$crate::config::keys::KeyInfo] = &[$($name.info()),+];
    };
}

/// Implements [`Value`] for a type that is read from words.
macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+ $(,)?) => {
        impl $crate::config::keys::Value for $type {
            const KIND: $crate::config::kind::Kind = $crate::config::kind::Kind::Word(&[$($word),+]);

            fn read(node: &wharf_document::Node) -> Option<Self> {
                let text = &node.scalar()?.text;
                $(if text.eq_ignore_ascii_case($word) {
                    return Some($value);
                })+
                None
            }
        }
    };
}

pub(super) use {keys, words};
