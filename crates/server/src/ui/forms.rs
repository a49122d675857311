//! Parts of views that several handlers make.

use jiff::Timestamp;
use wharf_pages::{Field, Hidden, Page, Text, Time};

use super::{failure::Failure, fields::Fields};

/// A field with the value that was sent.
pub(super) fn field(name: &'static str, fields: &Fields) -> Field {
    Field {
        name,
        value: fields.get(name).chars().take(1_000).collect(),
        wrong: None,
        required: false,
        autocomplete: "off",
    }
}

/// A field that has to be filled in.
pub(super) fn required(name: &'static str, fields: &Fields) -> Field {
    Field {
        required: true,
        ..field(name, fields)
    }
}

/// A field for another password. Its value is never sent back.
pub(super) fn password(wrong: Option<Text>) -> Field {
    Field {
        name: "password",
        value: String::new(),
        wrong,
        required: false,
        autocomplete: "new-password",
    }
}

/// What was wrong, in the words of the service.
pub(super) fn wrong(page: &Page, failure: &Failure) -> Text {
    failure.said(page).put_into(page.t("form.wrong"), "why")
}

/// Hidden fields.
pub(super) fn hidden<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Hidden> {
    let fields = fields.into_iter().map(|(name, value)| Hidden {
        name: name.to_owned(),
        value: value.to_owned(),
    });
    fields.collect()
}

/// The time that a service names. What is no time is shown as the beginning of all times.
pub(super) fn time(text: &str) -> Time {
    Time::parse(text).unwrap_or(Time::from(Timestamp::UNIX_EPOCH))
}

/// A time that need not be.
pub(super) fn optional_time(text: Option<&String>) -> Option<Time> {
    text.and_then(|text| Time::parse(text))
}
