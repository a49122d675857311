//! Sends the table to wharf and to another registry, and compares the answers.

use tempfile::TempDir;
use wharf_testkit::RawAnswer;
use wharf_testkit::suite::Suite;

use crate::site::{Kind, Site};
use crate::table::{Difference, Fixture, Row, TABLE, With};

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let test = format!("the_table_is_answered_as_by_{}", kind.name());
        suite.test(&test, &kind.needs(), move || compare(kind));
    }
}

fn compare(kind: Kind) {
    let roots = [(); 2].map(|()| TempDir::with_prefix("wharf-compat-").expect("a temporary directory"));
    let (wharf, other) = (Kind::Wharf.serve(roots[0].path()), kind.serve(roots[1].path()));
    let fixture = Fixture::new();
    fixture.push(&wharf);
    fixture.push(&other);
    let mut problems = Vec::new();
    for row in TABLE.iter().copied().flatten() {
        let ours = Answer::of(row, &wharf, &fixture);
        let theirs = Answer::of(row, &other, &fixture);
        if let Some(problem) = judge(deliberate(row, kind), &ours, &theirs) {
            let name = kind.name();
            problems.push(format!(
                "{}: {problem}\n    wharf      {ours}\n    {name} {theirs}",
                row.name
            ));
        }
    }
    assert!(
        problems.is_empty(),
        "{} rows:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

fn deliberate(row: &Row, kind: Kind) -> Option<&'static Difference> {
    let with = if kind == Kind::Two { With::Two } else { With::Three };
    row.differences
        .iter()
        .find(|difference| difference.with == with || difference.with == With::Both)
}

fn judge(deliberate: Option<&Difference>, ours: &Answer, theirs: &Answer) -> Option<String> {
    match deliberate {
        None if ours == theirs => None,
        None => Some("a difference that the table does not know".to_owned()),
        Some(difference) if ours.outcome != difference.ours => {
            Some(format!("`{}` was meant ({})", difference.ours, difference.reason))
        }
        Some(difference) if ours == theirs => Some(format!(
            "no difference any more; take it out of the table ({})",
            difference.reason
        )),
        Some(_) => None,
    }
}

/// The compared parts of an answer.
#[derive(PartialEq, Eq)]
struct Answer {
    /// The status, and the error codes if there are any.
    outcome: String,
    /// Headers that a client acts upon, normalised, and the body unless it is an error's text.
    details: Vec<String>,
}

impl Answer {
    fn of(row: &Row, site: &Site, fixture: &Fixture) -> Answer {
        let answer = (row.script)(site, fixture);
        let outcome = format!("{} {}", answer.status, answer.error_codes())
            .trim_end()
            .to_owned();
        let mut details = HEADERS
            .iter()
            .filter_map(|name| Some(format!("{name}: {}", normal(name, answer.header(name)?, site))))
            .collect::<Vec<_>>();
        if answer.status < 400 {
            details.push(body(&answer));
        }
        Answer { outcome, details }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.outcome, self.details.join(" | "))
    }
}

/// Headers that a client acts upon.
const HEADERS: &[&str] = &[
    "Accept-Ranges",
    "Cache-Control",
    "Content-Range",
    "Content-Type",
    "Docker-Content-Digest",
    "Docker-Distribution-Api-Version",
    "Docker-Upload-UUID",
    "Etag",
    "Link",
    "Location",
    "OCI-Subject",
    "Range",
];

/// Removes the parts that always differ between two servers: their ports, and the names of uploads with their state.
fn normal(name: &str, value: &str, site: &Site) -> String {
    match name {
        // 2.8 adds `; charset=utf-8` to its JSON, 3 does not.
        "Content-Type" => value.split(';').next().unwrap_or(value).to_owned(),
        "Docker-Upload-UUID" => "(an upload)".to_owned(),
        "Location" => {
            let path = value.replace(&format!("http://{}", site.authority()), "");
            match path.split_once("/blobs/uploads/") {
                Some((repository, _)) => format!("{repository}/blobs/uploads/(an upload)"),
                None => path,
            }
        }
        _ => value.to_owned(),
    }
}

/// The body; of a list only its names, sorted, for 2.8 answers tags in any order.
fn body(answer: &RawAnswer) -> String {
    let json = answer.json();
    let Some(names) = json["tags"].as_array().or(json["repositories"].as_array()) else {
        return answer.text().trim_end().to_owned();
    };
    let mut names = names.iter().map(serde_json::Value::to_string).collect::<Vec<_>>();
    names.sort();
    names.join(",")
}
