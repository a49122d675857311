//! What `wharf doctor` has found: a line for each check, as one readable screen or as JSON.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::json;

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    Warning,
    Problem,
}

/// A check, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Name of the check
    pub(super) check: &'static str,
    pub(super) state: State,
    /// What was found
    pub(super) text: String,
    /// What to do about it, unless all is well
    pub(super) remedy: Option<String>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<Line>,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, State::Ok, text.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, State::Warning, text.into(), Some(remedy.into()));
    }

    pub(super) fn problem(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, State::Problem, text.into(), Some(remedy.into()));
    }

    fn add(&mut self, check: &'static str, state: State, text: String, remedy: Option<String>) {
        self.lines.push(Line {
            check,
            state,
            text,
            remedy,
        });
    }

    /// The worst outcome of a check; `None`: the check has no line yet.
    pub(super) fn worst_of(&self, check: &str) -> Option<State> {
        let lines = self.lines.iter().filter(|line| line.check == check);
        lines.map(|line| line.state).max()
    }

    /// 1 when there are problems.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self.count(State::Problem) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    /// A line for each check, the remedy below it, and a summary.
    pub(super) fn text(&self, configuration: &str) -> String {
        let width = self.lines.iter().map(|line| line.check.len()).max().unwrap_or(0);
        let mut text = format!("{configuration}\n\n");
        for line in &self.lines {
            let Line {
                check,
                state,
                text: found,
                remedy,
            } = line;
            let found = wharf_client::printable(found);
            _ = writeln!(text, "{:<7}  {check:width$}  {found}", state.word());
            if let Some(remedy) = remedy {
                _ = writeln!(
                    text,
                    "{:7}  {:width$}  -> {}",
                    "",
                    "",
                    wharf_client::printable(remedy)
                );
            }
        }
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (problems, warnings) = (self.count(State::Problem), self.count(State::Warning));
        _ = writeln!(
            text,
            "\n{problems} problem{}, {warnings} warning{}",
            plural(problems),
            plural(warnings)
        );
        text
    }

    /// The same as one JSON object.
    pub(super) fn json(&self, configuration: &str) -> String {
        let lines = self.lines.iter().map(|line| {
            json!({
                "check": line.check,
                "state": line.state.word(),
                "text": line.text,
                "remedy": line.remedy,
            })
        });
        let report = json!({
            "configuration": configuration,
            "problems": self.count(State::Problem),
            "warnings": self.count(State::Warning),
            "checks": lines.collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }

    fn count(&self, state: State) -> usize {
        self.lines.iter().filter(|line| line.state == state).count()
    }
}
