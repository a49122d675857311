//! The report about a configuration: problems, warnings and notes, each with its place.

use std::path::Path;

use wharf_document::Place;

/// All remarks about one configuration.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Path of the file, as it was given.
    source: Option<Box<Path>>,
    /// Reasons why the server must not start.
    pub(super) problems: Vec<Remark>,
    /// Mistakes with which the server may start.
    pub(super) warnings: Vec<Remark>,
    /// Details, shown at `log.level: debug` only.
    pub(super) notes: Vec<Remark>,
}

/// A sentence about a place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remark {
    place: Place,
    text: String,
}

impl Report {
    pub(super) fn new(source: Option<&Path>) -> Self {
        Self {
            source: source.map(Into::into),
            ..Self::default()
        }
    }

    pub(super) fn problem(&mut self, place: &Place, text: impl Into<String>) {
        self.problems.push(Remark::new(place, text));
    }

    pub(super) fn warning(&mut self, place: &Place, text: impl Into<String>) {
        self.warnings.push(Remark::new(place, text));
    }

    pub(super) fn note(&mut self, place: &Place, text: impl Into<String>) {
        self.notes.push(Remark::new(place, text));
    }

    /// `remarks` as lines, in the order of their places, each once.
    pub(super) fn lines(&self, remarks: &[Remark]) -> Vec<String> {
        let mut remarks = remarks.to_vec();
        remarks.sort();
        remarks.dedup();
        remarks
            .iter()
            .map(|Remark { place, text }| match place {
                Place::Nowhere => text.clone(),
                place => format!("{}: {text}", self.place(place)),
            })
            .collect()
    }

    /// A place as operators read it: `/etc/c.yml:7`, `$REGISTRY_HTTP_ADDR`.
    pub(super) fn place(&self, place: &Place) -> String {
        match place {
            Place::Nowhere => "default".to_owned(),
            Place::Line(line) => match &self.source {
                Some(source) => format!("{}:{line}", source.display()),
                None => format!("line {line}"),
            },
            Place::Variable(name) => format!("${name}"),
        }
    }
}

impl Remark {
    fn new(place: &Place, text: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            text: text.into(),
        }
    }
}
