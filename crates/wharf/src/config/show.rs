//! `wharf config`: the effective values of a configuration, their origins, and its problems.

use std::{fmt::Write as _, path::Path};

use wharf_document::Place;

use super::{
    Settings,
    lines::{MASK, lines},
    load::{self, Loaded},
};

/// A configuration to check or show.
#[derive(Debug)]
pub(crate) struct Examined(Loaded);

/// Reads the same configuration as [`load`](super::load()), with all its problems.
pub(crate) fn examine(argument: Option<&Path>) -> Examined {
    Examined(load::read_all(argument))
}

impl Examined {
    #[cfg(test)]
    pub(super) fn of(loaded: Loaded) -> Self {
        Self(loaded)
    }

    /// Whether the configuration has no problems, so that the server would start with it.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.report.problems.is_empty()
    }

    /// The settings. Some are missing when there are problems.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The problems, a line for each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.0.report.lines(&self.0.report.problems)
    }

    /// The warnings, a line for each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.report.lines(&self.0.report.warnings)
    }

    /// Whether the file itself has a secret, such as the key of a bucket.
    pub(crate) fn has_secret_in_file(&self) -> bool {
        let Some(source) = &self.0.source else {
            return false;
        };
        let file = format!("{}:", source.path.display());
        lines(&self.0.root, &self.0.report).iter().any(|line| {
            let is_of_file = line
                .origin
                .as_ref()
                .is_some_and(|origin| origin.starts_with(&file));
            is_of_file && line.text.contains(MASK)
        })
    }

    /// Adds what was found elsewhere.
    pub(crate) fn add(&mut self, problems: Vec<String>, warnings: Vec<String>) {
        let report = &mut self.0.report;
        for problem in problems {
            report.problem(&Place::Nowhere, problem);
        }
        for warning in warnings {
            report.warning(&Place::Nowhere, warning);
        }
    }

    /// The report: a line for each problem and warning, and a summary.
    pub(crate) fn remarks(&self) -> String {
        let report = &self.0.report;
        let mut text = String::new();
        let kinds = [
            ("problem", &report.problems),
            ("warning", &report.warnings),
            ("note", &report.notes),
        ];
        let mut counts = Vec::new();
        for (kind, remarks) in kinds {
            let lines = report.lines(remarks);
            for line in &lines {
                _ = writeln!(text, "{kind}: {line}");
            }
            if kind != "note" {
                let plural = if lines.len() == 1 { "" } else { "s" };
                counts.push(format!("{} {kind}{plural}", lines.len()));
            }
        }
        let what = match &self.0.source {
            Some(source) => source.path.display().to_string(),
            None => "no file, and the environment".to_owned(),
        };
        _ = writeln!(text, "{what}: {}", counts.join(", "));
        text
    }

    /// The effective values as YAML; with `origins`, a comment behind each names its origin.
    pub(crate) fn yaml(&self, origins: bool) -> String {
        let lines = lines(&self.0.root, &self.0.report);
        let width = lines
            .iter()
            .map(|line| line.text.chars().count())
            .max()
            .unwrap_or(0)
            .min(60);
        let mut text = String::new();
        for line in &lines {
            _ = match &line.origin {
                Some(origin) if origins => writeln!(text, "{:width$}  # {origin}", line.text),
                _ => writeln!(text, "{}", line.text),
            };
        }
        text
    }
}
