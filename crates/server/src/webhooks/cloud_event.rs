//! Events as CloudEvents 1.0 in structured mode (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{
    envelope::{Shown, Version},
    record::{Record, Subject},
};

/// Media type of one event in structured mode.
pub(super) const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// What an authority of a URI holds as it is (RFC 3986).
const AUTHORITY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'[')
    .remove(b']');

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    /// A URI reference.
    source: String,
    r#type: String,
    time: &'a str,
    subject: String,
    datacontenttype: &'static str,
    data: Shown<'a>,
}

/// The body to post: the event of registry:3 is its data.
pub(super) fn render(event: &Record) -> Vec<u8> {
    let source = utf8_percent_encode(&event.source.addr, AUTHORITY);
    let cloud_event = CloudEvent {
        specversion: "1.0",
        id: &event.id,
        source: format!("//{source}"),
        r#type: format!("dev.wharf.{}.{}.v1", kind(event.subject), event.action.as_str()),
        time: &event.timestamp,
        subject: subject(event),
        datacontenttype: "application/json",
        data: Shown(event, Version::V2),
    };
    // Writing plain texts and numbers to memory cannot fail.
    serde_json::to_vec(&cloud_event).unwrap_or_default()
}

fn kind(subject: Subject) -> &'static str {
    match subject {
        Subject::Manifest => "manifest",
        Subject::Blob => "blob",
        Subject::Tag => "tag",
    }
}

/// The name of the content, as `docker pull` takes it.
fn subject(event: &Record) -> String {
    let target = &event.target;
    match (&target.tag, &target.digest) {
        (Some(tag), _) => format!("{}:{tag}", target.repository),
        (None, Some(digest)) => format!("{}@{digest}", target.repository),
        (None, None) => target.repository.clone(),
    }
}
