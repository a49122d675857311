//! Requests that a played upstream got.

use percent_encoding::percent_decode_str;

/// A request that the upstream got.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Host and port that the client named.
    pub host: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query; empty when there is none.
    pub query: String,
    /// First line and headers.
    pub head: String,
}

impl Asked {
    pub(super) fn parse(head: String) -> Self {
        let mut words = head.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let absolute = target.split_once("://").map(|(_, rest)| rest);
        let (host, target) = match absolute {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", target),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut asked = Self {
            method,
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            head: String::new(),
        };
        asked.head = head;
        if asked.host.is_empty() {
            asked.host = asked.header("host").unwrap_or_default().to_owned();
        }
        asked
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The decoded value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(found, _)| *found == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}
