//! The arguments of `activity`.

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use wharf_access::rules::Pattern;
use wharf_activity::Action;

use super::server::Server;

/// The entries to print, and their form.
#[derive(Debug, Args)]
pub(crate) struct Activity {
    /// Only what happened to these repositories, such as `team/app` or `team/**`.
    ///
    /// `*` stands for characters within one component of the name, `**` for any number of components.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) repository: Option<String>,

    /// Only what this account did; of a failed login, the name that was tried.
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,

    /// Only this action.
    #[arg(long, value_name = "ACTION", value_parser = clap::builder::PossibleValuesParser::new(Action::ALL.map(Action::as_str)))]
    pub(crate) action: Option<String>,

    /// Only what happened since then: `2h`, `7d`, `2026-11-29`, or `2026-11-29T15:00:00Z`.
    ///
    /// A date without a time means its beginning in UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,

    /// Only what happened before then, written as for --since.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,

    /// Print at most this many entries, the newest; 0 means all.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,

    /// Go on printing entries as they are written to the log, until interrupted.
    #[arg(short, long, conflicts_with = "until")]
    pub(crate) follow: bool,

    /// The form; a table on a terminal, otherwise lines.
    #[arg(short, long, value_enum, value_name = "FORM")]
    pub(crate) output: Option<EntryForm>,

    /// Print each entry as it is stored: a line of JSON. The same as --output json.
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) server: Server,
}

/// The forms in which entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EntryForm {
    /// A table for people
    Table,
    /// A line for each entry, with tabs between the columns
    Lines,
    /// A line of JSON for each entry
    Json,
}

fn pattern(text: &str) -> Result<String, String> {
    match Pattern::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A time ago, a date, or a point in time.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || "write it such as `2h`, `7d`, `2026-11-29` or `2026-11-29T15:00:00Z`".to_owned();
    if let Some(ago) = wharf_document::parse_duration(text) {
        let ago = SignedDuration::try_from(ago).map_err(|_| wrong())?;
        return Timestamp::now().checked_sub(ago).map_err(|_| wrong());
    }
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    let midnight = date.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(midnight.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_three_ways() {
        let ago = |text: &str| {
            let then = time(text).unwrap();
            Timestamp::now().duration_since(then)
        };
        assert_eq!(ago("2h").as_hours(), 2);
        assert_eq!(ago("7d").as_hours(), 7 * 24);
        let written = |text: &str| time(text).unwrap().to_string();
        assert_eq!(written("2026-11-29"), "2026-11-29T00:00:00Z");
        assert_eq!(written("2026-11-29T16:04:05+01:00"), "2026-11-29T15:04:05Z");
        for wrong in ["", "yesterday", "2026-13-01", "-2h", "15:00"] {
            assert!(time(wrong).unwrap_err().contains("`2h`"), "{wrong}");
        }
    }
}
