//! Files of an image as `wharf ls` prints them.

use jiff::Timestamp;
use serde_json::{Value, json};
use wharf_client::printable;
use wharf_layers::{Entry, Kind, Node};
use wharf_oci::Descriptor;

use crate::cmd::table::aligned;

/// One line of a list.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) layer: usize,
    /// `None`: a directory that no layer has an entry of
    pub(super) node: Option<&'a Node<()>>,
}

impl<'a> Row<'a> {
    /// A file under `name`.
    pub(super) fn of(name: &'a str, node: &'a Node<()>) -> Self {
        Self {
            name,
            layer: node.layer,
            node: Some(node),
        }
    }

    /// A directory that is there because of what is in it.
    pub(super) fn directory(name: &'a str, layer: usize) -> Self {
        Self {
            name,
            layer,
            node: None,
        }
    }

    fn kind(&self) -> Kind {
        self.node.map_or(Kind::Directory, |node| node.entry.kind)
    }

    /// The entry as documented in docs/cli/files.md.
    pub(super) fn json(&self, layers: &[Descriptor]) -> Value {
        let entry = self.node.map(|node| &node.entry);
        json!({
            "name": self.name,
            "path": entry.map(|entry| &*entry.path),
            "kind": self.kind().as_str(),
            "size": entry.map_or(0, |entry| entry.size),
            "mode": entry.map(|entry| format!("{:04o}", entry.mode)),
            "user": entry.map(|entry| entry.user),
            "group": entry.map(|entry| entry.group),
            "modified": entry.map(|entry| time(entry.modified)),
            "link": entry.and_then(|entry| entry.link.as_deref()),
            "layer": layers.get(self.layer).map(|layer| layer.digest.to_string()),
        })
    }
}

/// The rows as text: their names, or all that is known of them.
pub(super) fn text(rows: &[Row<'_>], is_long: bool) -> String {
    if !is_long {
        let lines = rows.iter().map(|row| {
            let slash = if row.kind() == Kind::Directory { "/" } else { "" };
            format!("{}{slash}\n", printable(row.name))
        });
        return lines.collect();
    }
    let rows = rows.iter().map(|row| {
        let entry = row.node.map(|node| &node.entry);
        let of = |show: &dyn Fn(&Entry) -> String| entry.map_or_else(|| "-".to_owned(), show);
        let name = printable(row.name);
        [
            of(&|entry| rights(entry)),
            of(&|entry| format!("{}:{}", entry.user, entry.group)),
            of(&|entry| entry.size.to_string()),
            of(&|entry| time(entry.modified)),
            row.layer.to_string(),
            match entry.and_then(|entry| entry.link.as_deref()) {
                Some(link) => format!("{name} -> {}", printable(link)),
                None => name.into_owned(),
            },
        ]
    });
    let head = ["MODE", "OWNER", "SIZE", "MODIFIED", "LAYER", "NAME"];
    format!("{}\n", aligned(head, rows))
}

/// Kind and permission bits, as `ls -l` shows them.
fn rights(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File | Kind::Hardlink => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::CharacterDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
    };
    let special = [(0o4000, 's', 'S'), (0o2000, 's', 'S'), (0o1000, 't', 'T')];
    let mut text = String::from(kind);
    for (place, (bit, with, without)) in special.into_iter().enumerate() {
        let three = entry.mode >> (6 - 3 * place) & 0o7;
        text.push(if three & 4 != 0 { 'r' } else { '-' });
        text.push(if three & 2 != 0 { 'w' } else { '-' });
        text.push(match (three & 1 != 0, entry.mode & bit != 0) {
            (true, true) => with,
            (false, true) => without,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_those_of_ls() {
        let mut entry = Entry {
            path: "a".to_owned(),
            kind: Kind::File,
            size: 0,
            mode: 0o4755,
            user: 0,
            group: 0,
            modified: 0,
            link: None,
        };
        assert_eq!(rights(&entry), "-rwsr-xr-x");
        (entry.kind, entry.mode) = (Kind::Directory, 0o1777);
        assert_eq!(rights(&entry), "drwxrwxrwt");
        (entry.kind, entry.mode) = (Kind::Symlink, 0o2640);
        assert_eq!(rights(&entry), "lrw-r-S---");
    }
}
