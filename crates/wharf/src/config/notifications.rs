//! `notifications`: the services that receive events about pushes and pulls.

use std::time::Duration;

use http::{HeaderName, header};
use wharf_http::redact;
use wharf_server::{Action, Endpoint, EventFormat, Url, WebhookOptions};
use wharf_storage::spool::SpoolLimits;

use super::{
    headers,
    keys::{Group, Key, List, Pairs, Positive, Since, keys, words},
    section::Section,
};

keys! {
    EVENTS: Group = Key::section("notifications.events").help("The contents of events").variable("EVENTCONFIG");
    INCLUDE_REFERENCES: bool = Key::new("notifications.events.includereferences")
        .default("false")
        .help("List the layers, config and children of a manifest in its events");
    ENDPOINTS: List = Key::sections("notifications.endpoints")
        .help("Services that receive an event for each push, pull, mount and deletion");
    NAME: Option<String> = Key::new("notifications.endpoints[].name")
        .help("Name of the endpoint in logs and metrics, and of its queue on the disk");
    IS_DISABLED: bool = Key::new("notifications.endpoints[].disabled")
        .default("false")
        .help("Send no events to the endpoint, and keep its queue");
    URL: Option<String> = Key::new("notifications.endpoints[].url")
        .help("URL to which events are posted, with user and password if needed");
    HEADERS: Pairs = Key::secret_headers("notifications.endpoints[].headers").help("Headers of each request to the endpoint");
    TIMEOUT: Positive<Duration> = Key::new("notifications.endpoints[].timeout")
        .default("1s")
        .help("Longest time of one attempt, connecting included");
    THRESHOLD: Positive<u32> = Key::new("notifications.endpoints[].threshold")
        .default("10")
        .help("Number of failures in a row after which there are pauses");
    BACKOFF: Positive<Duration> = Key::new("notifications.endpoints[].backoff")
        .default("1s")
        .help("Length of the first pause; each further one is twice as long");
    MAX_BACKOFF: Positive<Duration> = Key::new("notifications.endpoints[].maxbackoff")
        .default("30s")
        .help("Length of the longest pause")
        .since(Since::Ours);
    FORMAT: EventFormat = Key::new("notifications.endpoints[].format")
        .default("v1")
        .help("Format of events: that of registry:2, that of registry:3, or CloudEvents 1.0")
        .since(Since::Ours);
    QUEUE_EVENTS: i64 = Key::new("notifications.endpoints[].queue.events")
        .default("10000")
        .help("Maximum number of events in the queue; beyond it the oldest are dropped")
        .since(Since::Ours);
    QUEUE_BYTES: i64 = Key::new("notifications.endpoints[].queue.bytes")
        .default("33554432")
        .help("Maximum size of the queue in bytes; beyond it the oldest events are dropped")
        .since(Since::Ours);
    IGNORED_MEDIA_TYPES: Vec<String> = Key::list("notifications.endpoints[].ignoredmediatypes")
        .help("Send no events about these media types");
    IGNORE_MEDIA_TYPES: Vec<String> = Key::list("notifications.endpoints[].ignore.mediatypes")
        .help("Send no events about these media types either");
    IGNORE_ACTIONS: Vec<String> = Key::list("notifications.endpoints[].ignore.actions")
        .help("Send no events about these actions: `pull`, `push`, `mount`, `delete`");
}

words! { EventFormat: "v1" => Self::V1, "v2" => Self::V2, "cloudevents" => Self::CloudEvents }

/// Headers of the connection or the body, which cannot be configured; registry:2 does not send them either.
const OUR_OWN: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
];

/// Reads the endpoints and the contents of events.
pub(super) fn read(root: &Section<'_>) -> WebhookOptions {
    let endpoints: Vec<Endpoint> = root.elements(ENDPOINTS).iter().filter_map(endpoint).collect();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let is_taken = |other: &Endpoint| other.name == endpoint.name;
        if !endpoint.name.is_empty() && endpoints[..index].iter().any(is_taken) {
            let text = format!(
                "names several endpoints `{}`; their queues and metrics go by their order then, so give each a name of its own",
                endpoint.name.escape_debug()
            );
            root.warning(ENDPOINTS, &text);
        }
    }
    WebhookOptions {
        endpoints,
        include_references: root.get(INCLUDE_REFERENCES),
    }
}

/// Reads one endpoint. `None`: a problem has been reported.
fn endpoint(section: &Section<'_>) -> Option<Endpoint> {
    let is_disabled = section.get(IS_DISABLED);
    let url = match section.get(URL).unwrap_or_default().parse::<Url>() {
        Ok(url) => url,
        // As in registry:2, a disabled endpoint need not be complete.
        Err(_) if is_disabled => return None,
        Err(error) => {
            section.problem(URL, &error.to_string());
            return None;
        }
    };
    // Names are in the log and in metrics, and some endpoints are named by their URL.
    let name = section.get(NAME).unwrap_or_default();
    let name = redact::configured(&name, redact::REDACTED).into_owned();
    let mut endpoint = Endpoint::new(name, url);
    endpoint.is_disabled = is_disabled;
    endpoint.headers = headers::read_secret(section, HEADERS, |header| {
        let is_ours = OUR_OWN.contains(header);
        if is_ours {
            let text = format!("has `{header}`, which cannot be chosen and has no effect");
            section.warning(HEADERS, &text);
        }
        !is_ours
    });
    endpoint.format = section.get(FORMAT);
    endpoint.timeout = section.get(TIMEOUT).0;
    endpoint.threshold = section.get(THRESHOLD).0;
    endpoint.backoff = section.get(BACKOFF).0;
    endpoint.max_backoff = section.get(MAX_BACKOFF).0;
    endpoint.ignored_media_types = section.get(IGNORED_MEDIA_TYPES);
    endpoint
        .ignored_media_types
        .extend(section.get(IGNORE_MEDIA_TYPES));
    endpoint.ignored_actions = actions(section);
    endpoint.queue = SpoolLimits {
        records: limit(section, QUEUE_EVENTS),
        bytes: limit(section, QUEUE_BYTES),
    };
    Some(endpoint)
}

fn actions(section: &Section<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    for word in section.get(IGNORE_ACTIONS) {
        match Action::ALL.into_iter().find(|action| action.as_str() == word) {
            Some(action) => actions.push(action),
            None => section.problem(
                IGNORE_ACTIONS,
                &format!(
                    "names no action with `{}`; the actions are `pull`, `push`, `mount` and `delete`",
                    word.escape_debug()
                ),
            ),
        }
    }
    actions
}

/// A limit of the queue of an endpoint.
fn limit(section: &Section<'_>, key: Key<i64>) -> u64 {
    let limit = u64::try_from(section.get(key)).unwrap_or(0);
    if limit == 0 {
        section.problem(key, "must be more than 0");
    }
    limit
}
