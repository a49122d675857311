//! What is told about each tag, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use wharf_client::printable;
use wharf_oci::Digest;
use wharf_server::admin::wire;

use crate::{
    cli::Output,
    cmd::{
        deletion::described,
        remote::{print, print_json},
        table,
    },
};

/// What is done with a tag of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Act {
    /// It points at the image of the source.
    Equal,
    /// It is new there, or something of its image is.
    Copy,
    /// It points at another image.
    Move,
    /// The source does not have it.
    Delete,
    /// It would go, and must not.
    Refused,
    /// It could not be found out, or could not be done.
    Failed,
}

/// A tag of the destination.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    #[serde(rename = "action")]
    pub(super) act: Act,
    /// Whether it was done.
    pub(super) done: bool,
    pub(super) source: Option<String>,
    pub(super) destination: String,
    /// Digest that it has, or is to get.
    pub(super) digest: Option<Digest>,
    /// Digest that it had.
    pub(super) previous: Option<Digest>,
    pub(super) reason: Option<String>,
}

impl Row {
    /// Something that failed.
    pub(super) fn failed(source: Option<String>, destination: String, reason: String) -> Self {
        Self {
            act: Act::Failed,
            done: false,
            source,
            destination,
            digest: None,
            previous: None,
            reason: Some(reason),
        }
    }

    /// Turns it into something that failed.
    pub(super) fn fail(&mut self, reason: String) {
        self.act = Act::Failed;
        self.reason = Some(reason);
    }

    /// Turns it into something that must not be done.
    pub(super) fn refuse(&mut self, reason: String) {
        self.act = Act::Refused;
        self.reason = Some(reason);
    }

    /// Whether the destination is to change.
    pub(super) fn is_change(&self) -> bool {
        matches!(self.act, Act::Copy | Act::Move | Act::Delete)
    }
}

impl Act {
    fn word(self, done: bool) -> &'static str {
        match (self, done) {
            (Self::Equal, _) => "equal",
            (Self::Copy, false) => "copy",
            (Self::Copy, true) => "copied",
            (Self::Move, false) => "move",
            (Self::Move, true) => "moved",
            (Self::Delete, false) => "delete",
            (Self::Delete, true) => "deleted",
            (Self::Refused, _) => "refused",
            (Self::Failed, _) => "failed",
        }
    }
}

/// Prints the rows, and in a table the plans of deletions that a wharf has made.
pub(super) fn print_all(
    rows: &[Row],
    plans: &[wire::Plan],
    output: Output,
    applied: bool,
) -> anyhow::Result<()> {
    match output {
        Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(rows)?)),
        Output::Name => {
            let changed = rows.iter().filter(|row| row.is_change() && row.done == applied);
            let names = changed.map(|row| format!("{}\n", row.destination));
            print(&names.collect::<String>())
        }
        Output::Table => {
            let mut text = String::new();
            if !rows.is_empty() {
                let cells = rows.iter().map(|row| {
                    [
                        row.act.word(row.done).to_owned(),
                        row.destination.clone(),
                        row.source.clone().unwrap_or_else(|| "-".to_owned()),
                        row.digest.map(|digest| short(&digest)).unwrap_or_default(),
                        note(row),
                    ]
                });
                let head = ["ACTION", "DESTINATION", "SOURCE", "DIGEST", "REMARK"];
                text += &(table::aligned(head, cells) + "\n");
            }
            if !applied {
                text.extend(plans.iter().map(|plan| format!("\n{}", described(plan))));
            }
            print(&text)
        }
    }
}

fn note(row: &Row) -> String {
    match (&row.reason, &row.previous) {
        (Some(reason), _) => printable(reason).into_owned(),
        (None, Some(previous)) if row.act == Act::Move => format!("was {}", short(previous)),
        _ => String::new(),
    }
}

fn short(digest: &Digest) -> String {
    format!("{}:{}", digest.algorithm(), &digest.hex().as_str()[..12])
}

/// A line with the numbers.
pub(super) fn summary(rows: &[Row], applied: bool) -> String {
    let count = |act: Act| rows.iter().filter(|row| row.act == act).count();
    let mut text = String::new();
    for act in [
        Act::Copy,
        Act::Move,
        Act::Delete,
        Act::Equal,
        Act::Refused,
        Act::Failed,
    ] {
        let count = count(act);
        if count > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            let to = if applied || matches!(act, Act::Equal | Act::Refused | Act::Failed) {
                ""
            } else {
                "to "
            };
            _ = write!(text, "{comma}{count} {to}{}", act.word(applied));
        }
    }
    if text.is_empty() {
        return "no tag is chosen".to_owned();
    }
    if !applied && rows.iter().any(Row::is_change) {
        text.push_str("; `--apply` does it");
    }
    text
}
