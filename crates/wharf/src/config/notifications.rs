//! `notifications`: who is told of pushes and pulls.

use http::{HeaderName, header};
use wharf_server::{Action, Endpoint, EventFormat, WebhookOptions};

use super::{
    headers,
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "notifications.events",
        Kind::Section,
        Default::None,
        "What is in events",
    )
    .variable("EVENTCONFIG"),
    Key::works(
        "notifications.events.includereferences",
        Kind::Boolean,
        Default::Value("false"),
        "List in events of manifests what they consist of",
    ),
    Key::works(
        "notifications.endpoints",
        Kind::List,
        Default::None,
        "Who is told of pushes, pulls, mounts and deletions",
    ),
    Key::works(
        "notifications.endpoints[].name",
        Kind::Text,
        Default::None,
        "What logs and metrics call it, and what its queue on the disk goes by",
    ),
    Key::works(
        "notifications.endpoints[].disabled",
        Kind::Boolean,
        Default::Value("false"),
        "Tell it nothing, and keep its queue",
    ),
    Key::works(
        "notifications.endpoints[].url",
        Kind::Text,
        Default::None,
        "Where events are posted to, with user and password if need be",
    ),
    Key::works(
        "notifications.endpoints[].headers",
        Kind::Headers { is_secret: true },
        Default::None,
        "Sent with each event",
    ),
    Key::works(
        "notifications.endpoints[].timeout",
        Kind::Duration,
        Default::Value("1s"),
        "For one attempt, connecting included",
    ),
    Key::works(
        "notifications.endpoints[].threshold",
        Kind::Number,
        Default::Value("10"),
        "After so many failures in a row there are pauses",
    ),
    Key::works(
        "notifications.endpoints[].backoff",
        Kind::Duration,
        Default::Value("1s"),
        "The first pause; each further one is twice as long",
    ),
    Key::works(
        "notifications.endpoints[].maxbackoff",
        Kind::Duration,
        Default::Value("30s"),
        "The longest pause",
    )
    .since(Since::Ours),
    Key::works(
        "notifications.endpoints[].format",
        Kind::Word(&["v1", "v2", "cloudevents"]),
        Default::Value("v1"),
        "What is posted: the events of registry:2, those of registry:3, or CloudEvents 1.0",
    )
    .since(Since::Ours),
    Key::works(
        "notifications.endpoints[].queue.events",
        Kind::Number,
        Default::Value("10000"),
        "So many wait at most; then the oldest go",
    )
    .since(Since::Ours),
    Key::works(
        "notifications.endpoints[].queue.bytes",
        Kind::Number,
        Default::Value("33554432"),
        "So many bytes of them at most",
    )
    .since(Since::Ours),
    Key::works(
        "notifications.endpoints[].ignoredmediatypes",
        Kind::Texts,
        Default::None,
        "Tell nothing of these media types",
    ),
    Key::works(
        "notifications.endpoints[].ignore.mediatypes",
        Kind::Texts,
        Default::None,
        "The same",
    ),
    Key::works(
        "notifications.endpoints[].ignore.actions",
        Kind::Texts,
        Default::None,
        "Tell nothing of these: `pull`, `push`, `mount`, `delete`",
    ),
];

const FORMATS: [(&str, EventFormat); 3] = [
    ("v1", EventFormat::V1),
    ("v2", EventFormat::V2),
    ("cloudevents", EventFormat::CloudEvents),
];

/// They belong to the connection, or to what is sent; registry:2 does not let them through either.
const OUR_OWN: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
];

/// Who is told; where events come from is not yet known.
pub(super) fn read(notifications: &Section<'_>) -> WebhookOptions {
    let events = notifications.section("events");
    let include_references = events.boolean("includereferences").unwrap_or(false);
    let endpoints = notifications.sections("endpoints");
    let endpoints: Vec<Endpoint> = endpoints.iter().filter_map(endpoint).collect();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let is_taken = |other: &Endpoint| other.name == endpoint.name;
        if !endpoint.name.is_empty() && endpoints[..index].iter().any(is_taken) {
            let text = format!(
                "names several endpoints `{}`; their queues and metrics go by their order then, so give each a name of its own",
                endpoint.name.escape_debug()
            );
            notifications.warning("endpoints", &text);
        }
    }
    WebhookOptions {
        endpoints,
        include_references,
        source: String::new(),
    }
}

/// `None`: what is wrong has been said.
fn endpoint(section: &Section<'_>) -> Option<Endpoint> {
    let name = section.string("name").unwrap_or_default();
    let url = section.string("url");
    let is_disabled = section.boolean("disabled").unwrap_or(false);
    let mut endpoint = match url.as_deref().unwrap_or_default().parse() {
        Ok(url) => Endpoint::new(name, url),
        // As in registry:2, one that is disabled need not be complete.
        Err(_) if is_disabled => return None,
        Err(error) => {
            section.problem("url", &error.to_string());
            return None;
        }
    };
    endpoint.is_disabled = is_disabled;
    endpoint.headers = headers::read_secret(section, |header| {
        let is_ours = OUR_OWN.contains(header);
        if is_ours {
            let text = format!("has `{header}`, which cannot be chosen and has no effect");
            section.warning("headers", &text);
        }
        !is_ours
    });
    endpoint.format = section.choice("format", &FORMATS).unwrap_or_default();
    times(section, &mut endpoint);
    endpoint.ignored_media_types = section.strings("ignoredmediatypes");
    let ignore = section.section("ignore");
    endpoint.ignored_media_types.extend(ignore.strings("mediatypes"));
    endpoint.ignored_actions = actions(&ignore);
    queue(&section.section("queue"), &mut endpoint);
    Some(endpoint)
}

/// Nothing and less mean the default, as in registry:2.
fn times(section: &Section<'_>, endpoint: &mut Endpoint) {
    let time = |key: &str, place: &mut std::time::Duration| match section.duration(key) {
        Some(duration) if !duration.is_zero() => *place = duration,
        _ => {}
    };
    time("timeout", &mut endpoint.timeout);
    time("backoff", &mut endpoint.backoff);
    time("maxbackoff", &mut endpoint.max_backoff);
    match section.number("threshold").map(u32::try_from) {
        Some(Ok(threshold)) if threshold > 0 => endpoint.threshold = threshold,
        _ => {}
    }
}

fn actions(ignore: &Section<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    for word in ignore.strings("actions") {
        match Action::ALL.into_iter().find(|action| action.as_str() == word) {
            Some(action) => actions.push(action),
            None => ignore.problem(
                "actions",
                &format!(
                    "knows no `{}`; `pull`, `push`, `mount` and `delete` are actions",
                    word.escape_debug()
                ),
            ),
        }
    }
    actions
}

/// Our own: how much waits for an endpoint that does not answer.
fn queue(section: &Section<'_>, endpoint: &mut Endpoint) {
    let limit = |key: &str, place: &mut u64| match section.number(key).map(u64::try_from) {
        None => {}
        Some(Ok(limit)) if limit > 0 => *place = limit,
        Some(_) => section.problem(key, "must be more than 0"),
    };
    limit("events", &mut endpoint.queue.records);
    limit("bytes", &mut endpoint.queue.bytes);
}
