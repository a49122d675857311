//! Problems of a file of rules: each with its line, and with what to do about it.

use std::fmt;

/// A problem of a file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; 0 is the whole file.
    pub line: usize,
    /// Its consequence
    pub weight: Weight,
    /// What is wrong
    pub text: String,
    /// What to do about it
    pub hint: Option<String>,
}

/// The consequence of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The file is not used.
    Error,
    /// The file is used; part of it does nothing, or not what it seems to.
    Warning,
    /// The file is used, and means what it says.
    Note,
}

impl Problem {
    pub(super) fn error(line: usize, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(line, Weight::Error, text.into(), hint.into())
    }

    pub(super) fn warning(line: usize, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(line, Weight::Warning, text.into(), hint.into())
    }

    pub(super) fn note(line: usize, text: impl Into<String>) -> Self {
        Self::new(line, Weight::Note, text.into(), String::new())
    }

    fn new(line: usize, weight: Weight, text: String, hint: String) -> Self {
        let hint = (!hint.is_empty()).then_some(hint);
        Self {
            line,
            weight,
            text,
            hint,
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// On one line, as for a log.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
