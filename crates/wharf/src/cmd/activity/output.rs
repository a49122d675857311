//! Entries of the activity log as a table, as lines with tabs, or as JSON.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use wharf_activity::{Entry, Target};
use wharf_client::{printable, printable_json};

use crate::cli::EntryForm;

/// Columns of the table, with their least widths.
const COLUMNS: [(&str, usize); 8] = [
    ("TIME", 20),
    ("ACTION", 6),
    ("COUNT", 5),
    ("ACCOUNT", 9),
    ("ADDRESS", 9),
    ("RESULT", 6),
    ("WHAT", 20),
    ("CLIENT", 0),
];

/// Characters of a digest in the table.
const DIGEST: usize = 19;

/// Standard output, and the form in which entries are printed there.
pub(super) struct Output {
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For the eyes of operators
    Table,
    /// For other programs: all of each value, with a tab between them
    Lines,
    Json,
}

impl Output {
    /// The form that was asked for, or else a table on a terminal, and lines otherwise.
    pub(super) fn new(wanted: Option<EntryForm>) -> Self {
        let form = match (wanted, io::stdout().is_terminal()) {
            (Some(EntryForm::Json), _) => Form::Json,
            (Some(EntryForm::Table), _) | (None, true) => Form::Table,
            (Some(EntryForm::Lines), _) | (None, false) => Form::Lines,
        };
        Self { form }
    }

    /// Prints `entries`. Returns whether the reader of standard output takes more.
    pub(super) fn print(&self, entries: &[Entry], with_head: bool) -> anyhow::Result<bool> {
        let text = render(self.form, entries, with_head);
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            result => Ok(result.map(|()| true)?),
        }
    }
}

fn render(form: Form, entries: &[Entry], with_head: bool) -> String {
    match form {
        Form::Json => entries
            .iter()
            .map(|entry| printable_json(&String::from_utf8_lossy(&entry.line())).into_owned())
            .collect(),
        Form::Lines => entries
            .iter()
            .map(|entry| cells(entry, false).join("\t") + "\n")
            .collect(),
        Form::Table => table(entries, with_head),
    }
}

fn table(entries: &[Entry], with_head: bool) -> String {
    let rows: Vec<_> = entries.iter().map(|entry| cells(entry, true)).collect();
    let mut widths = COLUMNS.map(|(_, width)| width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = with_head.then(|| COLUMNS.map(|(name, _)| name.to_owned()));
    let mut text = String::new();
    for row in head.iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The values of the columns. Those that are unknown are `-`, so that columns can be counted.
fn cells(entry: &Entry, is_short: bool) -> [String; 8] {
    let known = |value: Option<&str>| match value {
        Some(value) if !value.is_empty() => printable(value).into_owned(),
        _ => "-".to_owned(),
    };
    let what = what(&entry.target, is_short);
    let what = match (&entry.detail, what.as_str()) {
        (Some(detail), "") => detail.to_string(),
        (Some(detail), what) => format!("{what} ({detail})"),
        (None, what) => what.to_owned(),
    };
    [
        match is_short {
            true => format!("{:.0}", entry.timestamp),
            false => format!("{:.3}", entry.timestamp),
        },
        entry.action.to_string(),
        entry.count.to_string(),
        known(entry.actor.name.as_deref()),
        known(entry.request.addr.as_deref()),
        entry.result.as_str().to_owned(),
        known(Some(&what)),
        known(entry.request.user_agent.as_deref()),
    ]
}

/// `team/app:1.0@sha256:…`
fn what(target: &Target, is_short: bool) -> String {
    let mut text = target.repository.as_deref().unwrap_or_default().to_owned();
    if let Some(tag) = &target.tag {
        text.extend([":", tag]);
    }
    if let Some(digest) = &target.digest {
        let digest = match is_short {
            true => digest.get(..DIGEST).unwrap_or(digest),
            false => digest,
        };
        text.extend(["@", digest]);
    }
    if let Some(from) = &target.from_repository {
        text.extend([" from ", from]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let lines = [
            r#"{"timestamp":"2026-11-29T15:04:24.123Z","action":"pull","count":12,"result":"ok","target":{"repository":"team/app","tag":"1.0","digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"request":{"addr":"192.0.2.1","useragent":"docker/29\t\u001b[31m"},"actor":{"name":"alice"}}"#,
            r#"{"timestamp":"2026-11-29T15:04:25.000Z","action":"login_failure","count":1,"result":"denied","detail":"wrong password"}"#,
        ];
        lines
            .iter()
            .map(|line| Entry::parse(line.as_bytes()).unwrap())
            .collect()
    }

    #[test]
    fn a_table_has_aligned_columns_and_no_control_characters() {
        assert_eq!(
            render(Form::Table, &entries(), true),
            concat!(
                "TIME                  ACTION         COUNT  ACCOUNT    ADDRESS    RESULT  WHAT                              CLIENT\n",
                "2026-11-29T15:04:24Z  pull           12     alice      192.0.2.1  ok      team/app:1.0@sha256:0123456789ab  docker/29\\t\\u{1b}[31m\n",
                "2026-11-29T15:04:25Z  login_failure  1      -          -          denied  wrong password                    -\n",
            )
        );
        assert_eq!(render(Form::Table, &[], false), "");
    }

    #[test]
    fn lines_have_all_of_each_value() {
        let lines = render(Form::Lines, &entries(), true);
        let first: Vec<&str> = lines.lines().next().unwrap().split('\t').collect();
        assert_eq!(
            first,
            [
                "2026-11-29T15:04:24.123Z",
                "pull",
                "12",
                "alice",
                "192.0.2.1",
                "ok",
                "team/app:1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "docker/29\\t\\u{1b}[31m",
            ]
        );
        let json = render(Form::Json, &entries(), true);
        for (line, entry) in json.lines().zip(entries()) {
            assert_eq!(Entry::parse(line.as_bytes()), Some(entry));
        }
    }
}
