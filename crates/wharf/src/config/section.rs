//! The configuration as written, read key by key. Every problem has the place of its key.

use std::cell::RefCell;

use wharf_document::{Map, Node, Place, Value as Written};

use super::{
    keys::{Key, KeyInfo, List, Setting, Value},
    report::Report,
};

/// The whole configuration, or one element of a list of sections.
///
/// Whether keys exist and have the right types was checked before, by [`super::check`]: a value of a wrong type reads as
/// if the key were absent.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    /// Key of the list that has this section as an element.
    list: Option<&'static str>,
    /// Path as operators read it: `health.file[0]`; empty for the whole configuration.
    path: String,
    place: Place,
    map: Option<&'a Map>,
    report: &'a RefCell<Report>,
}

impl<'a> Section<'a> {
    pub(super) fn root(map: &'a Map, report: &'a RefCell<Report>) -> Self {
        Self {
            list: None,
            path: String::new(),
            place: Place::Nowhere,
            map: Some(map),
            report,
        }
    }

    /// The value of `key`, or its default.
    pub(super) fn get<T: Setting>(&self, key: Key<T>) -> T {
        let info = key.info();
        T::of(&info, self.node(info))
    }

    /// The sections in the list at `key`.
    pub(super) fn elements(&self, key: Key<List>) -> Vec<Section<'a>> {
        let info = key.info();
        let Some(Node {
            value: Written::List(list),
            ..
        }) = self.node(info)
        else {
            return Vec::new();
        };
        let path = self.shown(info);
        list.iter()
            .enumerate()
            .map(|(index, node)| Self {
                list: Some(info.path),
                path: format!("{path}[{index}]"),
                place: node.place.clone(),
                map: node.map(),
                report: self.report,
            })
            .collect()
    }

    /// Whether the key is written, with or without a value.
    pub(super) fn has(&self, key: impl Into<KeyInfo>) -> bool {
        self.find(key.into()).0.is_some()
    }

    /// Whether the key has a value, of its kind, in place of its default.
    pub(super) fn is_set<T: Value>(&self, key: Key<T>) -> bool {
        self.node(key.info()).and_then(T::read).is_some()
    }

    /// Reports that the server must not start because of `key`: `text` follows its name.
    pub(super) fn problem(&self, key: impl Into<KeyInfo>, text: &str) {
        let key = key.into();
        let text = format!("`{}` {text}", self.shown(key));
        self.report.borrow_mut().problem(&self.find(key).1, text);
    }

    /// Reports a mistake with `key` with which the server may start: `text` follows its name.
    pub(super) fn warning(&self, key: impl Into<KeyInfo>, text: &str) {
        let key = key.into();
        let text = format!("`{}` {text}", self.shown(key));
        self.report.borrow_mut().warning(&self.find(key).1, text);
    }

    /// The place of a key, as operators read it.
    pub(super) fn origin(&self, key: impl Into<KeyInfo>) -> String {
        self.report.borrow().place(&self.find(key.into()).1)
    }

    /// The value of the key, if it is of its kind.
    fn node(&self, key: KeyInfo) -> Option<&'a Node> {
        let node = self.find(key).0?;
        (!node.is_nothing() && key.kind.problem(node).is_none()).then_some(node)
    }

    /// The node at the key, and its place; without a node, the place of the section in which it would be.
    fn find(&self, key: KeyInfo) -> (Option<&'a Node>, Place) {
        let (mut map, mut node, mut place) = (self.map, None, &self.place);
        for name in self.below(key).split('.') {
            node = map.and_then(|map| map.get(name));
            place = node.map_or(place, |node| &node.place);
            map = node.and_then(Node::map);
        }
        (node, place.clone())
    }

    fn shown(&self, key: KeyInfo) -> String {
        match self.list {
            Some(_) => format!("{}.{}", self.path, self.below(key)),
            None => key.path.to_owned(),
        }
    }

    /// The name of the key as it stands in this section.
    fn below(&self, key: KeyInfo) -> &'static str {
        let below = self.list.map_or(Some(key.path), |list| {
            key.path.strip_prefix(list)?.strip_prefix("[].")
        });
        debug_assert!(below.is_some(), "`{}` is not a key of `{}`", key.path, self.path);
        below.unwrap_or(key.path)
    }
}
