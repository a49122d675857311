//! A file of rules, read again as soon as it changes, together with the rules of the configuration.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use wharf_watched::{Damage, Read, Status, Watched, read_whole};

use super::{Configured, Problem, Reading, RuleOrigin, Rules, Weight, read};

/// The most bytes that a file of rules may have: some 5,000 rules.
const SIZE_LIMIT: u64 = 1 << 20;

/// The rules of a file between those of the configuration. Clones share everything.
#[derive(Debug, Clone)]
pub struct RulesFile {
    file: Watched<Reader>,
}

/// Reads rules, and puts those of the configuration around them.
#[derive(Debug)]
struct Reader {
    configured: Configured,
}

/// Why a file of rules cannot be used at the start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the file of access rules `{}`: {error}{hint}", path.display())]
    Read {
        /// Path of the file
        path: PathBuf,
        /// The cause
        error: io::Error,
        /// Remedy for the operator; may be empty
        hint: &'static str,
    },
    /// It has mistakes.
    #[error("the file of access rules `{}` cannot be used: {}", path.display(), Listed(problems))]
    Problems {
        /// Path of the file
        path: PathBuf,
        /// The errors in it
        problems: Vec<Problem>,
    },
}

impl RulesFile {
    /// Reads the file at `path`, and puts the rules that are `configured` around it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has errors: without a good list at the start there is none that could stay in force.
    pub fn open(path: &Path, configured: Configured) -> Result<Self, OpenError> {
        let reading = Self::check(path)?;
        if !reading.is_usable() {
            let errors = reading.problems.into_iter();
            return Err(OpenError::Problems {
                path: path.to_owned(),
                problems: errors.filter(|problem| problem.weight == Weight::Error).collect(),
            });
        }
        let initial = Rules::effective(Some(&reading.rules), &configured);
        let file = Watched::open(Reader { configured }, vec![path.to_owned()], initial.into());
        Ok(Self { file })
    }

    /// Reads the file at `path` once, with all its problems.
    ///
    /// # Errors
    ///
    /// [`OpenError::Read`] when it cannot be read.
    pub fn check(path: &Path) -> Result<Reading, OpenError> {
        let contents = read_whole(path, SIZE_LIMIT).map_err(|error| OpenError::Read {
            path: path.to_owned(),
            hint: match error.kind() {
                io::ErrorKind::PermissionDenied => "; the user that the server runs as must be allowed to",
                io::ErrorKind::NotFound => {
                    "; create it, or remove `access.rules`: then every user may do everything"
                }
                _ => "",
            },
            error,
        })?;
        Ok(read(&contents.bytes))
    }

    /// Whether the file is as it was when it was looked at last. One system call.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.file.if_unchanged(|_| ()).is_some()
    }

    /// What `use_them` makes of the rules that were in force at the last look.
    pub(crate) fn with_current<T>(&self, use_them: impl FnOnce(&Rules) -> T) -> T {
        self.file.with_current(use_them)
    }

    /// The rules that were in force at the last look.
    pub(crate) fn current(&self) -> Arc<Rules> {
        self.file.current()
    }

    /// The rules in force, after a look at the file if it changed.
    pub async fn refresh(&self) -> Arc<Rules> {
        self.file.refresh().await
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The state of the file, for the operator.
    pub fn status(&self) -> Status {
        self.file.status()
    }
}

impl wharf_watched::Reader for Reader {
    type Value = Rules;

    const NAME: &'static str = "file of access rules";
    const SIZE_LIMIT: u64 = SIZE_LIMIT;

    fn read(&self, contents: &[&[u8]], _old: &Rules) -> Result<Option<Read<Rules>>, Damage> {
        let reading = read(contents.first().copied().unwrap_or_default());
        let of = |weight: Weight| {
            reading
                .problems
                .iter()
                .filter(move |problem| problem.weight == weight)
        };
        if !reading.is_usable() {
            let errors: Vec<Problem> = of(Weight::Error).cloned().collect();
            return Err(Damage {
                file: Some(0),
                text: format!("it has errors: {}", Listed(&errors)),
            });
        }
        Ok(Some(Read {
            value: Rules::effective(Some(&reading.rules), &self.configured),
            findings: of(Weight::Warning).map(Problem::to_string).collect(),
        }))
    }

    fn last_good(rules: &Rules) -> String {
        format!("the last good list with {} rules", in_file(rules))
    }

    fn announce(&self, rules: &Rules, paths: &str) {
        tracing::info!(rules = in_file(rules), "read the file of access rules {paths}");
    }
}

/// How many of the rules are in the file.
fn in_file(rules: &Rules) -> usize {
    let origins = rules.list().iter().map(|rule| rule.origin);
    origins
        .filter(|origin| matches!(origin, RuleOrigin::Line(_)))
        .count()
}

/// Problems in one sentence, at most some of them.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 5;

        for (number, problem) in self.0.iter().take(MOST).enumerate() {
            let separator = if number > 0 { ". " } else { "" };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, ". {more} more; `wharf access check` lists all"),
        }
    }
}
