//! The state of a registry as a screen: a line for each fact, and last what needs attention.

use std::time::Duration;

use wharf_client::printable;
use wharf_message::Span;
use wharf_server::admin::wire;

use super::{Known, State};
use crate::cmd::{listing::time, size::readable};

/// Width of the first column.
const WIDTH: usize = 14;

/// The lines of a screen.
#[derive(Default)]
struct Screen(String);

impl Screen {
    fn line(&mut self, name: &str, value: &str) {
        self.0 += &format!("{name:<WIDTH$}{}\n", printable(value));
    }
}

/// The whole screen.
pub(super) fn of(state: &State) -> String {
    let mut screen = Screen::default();
    screen.line("registry", &state.registry);
    if let Some(server) = &state.server {
        of_server(&mut screen, server);
    }
    if let Some(usage) = &state.usage {
        of_space(&mut screen, usage);
    }
    if let Some(collections) = &state.collections {
        screen.line("collection", &collection(collections));
    }
    if let Some(server) = &state.server {
        screen.line("scrub", &scrub(server.scrub.as_ref()));
    }
    if let Some(retention) = &state.retention {
        screen.line("retention", &of_retention(retention));
    }
    if let Some(abilities) = &state.abilities {
        of_abilities(&mut screen, abilities);
    }
    if let Some(note) = &state.note {
        screen.line("note", note);
    }
    match state.attention.as_slice() {
        [] => screen.line("state", "all is well"),
        attention => {
            for text in attention {
                screen.line("ATTENTION", text);
            }
        }
    }
    screen.0
}

fn of_server(screen: &mut Screen, server: &wire::Server) {
    screen.line(
        "version",
        &format!("{} {} ({})", server.name, server.version, server.commit),
    );
    screen.line("engine", &server.engine);
    let uptime = Span::from(Duration::from_secs(server.uptime));
    screen.line("up for", &format!("{uptime}, since {}", time(&server.started)));
    let health = match server.failing.len() {
        0 => "healthy".to_owned(),
        count => format!("{count} check(s) fail; requests for images are refused"),
    };
    screen.line("health", &health);
    if let Some(certificate) = &server.certificate {
        screen.line("certificate", &format!("ends on {}", time(&certificate.ends)));
    }
    for replica in server.replicas.iter().flatten() {
        screen.line(
            "replica",
            &format!(
                "{} of {}, version {}, {}, since {}",
                replica.address,
                replica.host,
                replica.version,
                replica.state,
                time(&replica.started)
            ),
        );
    }
}

fn of_space(screen: &mut Screen, usage: &wire::Usage) {
    let free = match (usage.free, usage.capacity) {
        (Some(free), Some(capacity)) => {
            format!("; {} of {} are free", readable(free), readable(capacity))
        }
        _ => String::new(),
    };
    screen.line(
        "images",
        &format!("{} in {} repositories{free}", readable(usage.size), usage.total),
    );
}

fn collection(collections: &wire::Collections) -> String {
    let last = match (&collections.running, &collections.last) {
        (Some(running), _) => format!("runs since {}", time(&running.started)),
        (None, Some(last)) => format!(
            "freed {} in {} blobs on {}; {} wait, {} deletions are in the trash",
            readable(last.removed.bytes),
            last.removed.blobs,
            time(&last.ended),
            readable(last.waiting.bytes),
            last.deletions
        ),
        (None, None) => "none since the start".to_owned(),
    };
    match &collections.next {
        Some(next) => format!("{last}; the next one is on {}", time(next)),
        None => format!("{last}; runs on demand alone"),
    }
}

fn scrub(state: Option<&wire::ScrubState>) -> String {
    let Some(state) = state else {
        return "off".to_owned();
    };
    let round = match &state.ended {
        Some(ended) => format!("the last round ended on {}", time(ended)),
        None => "the first round has not ended".to_owned(),
    };
    match state.damaged {
        0 => format!("{round}; nothing is damaged"),
        count => format!("{round}; {count} blob(s) are damaged"),
    }
}

fn of_retention(retention: &wire::ConfiguredRetention) -> String {
    if retention.rules.is_empty() {
        return "no rules; nothing goes by itself".to_owned();
    }
    let rules = format!("{} rule(s)", retention.rules.len());
    let last = match &retention.last {
        Some(last) if last.applied => format!("took {} tag(s) on {}", last.tags, time(&last.ended)),
        Some(last) => format!("would have taken {} tag(s) on {}", last.tags, time(&last.ended)),
        None => "none ran since the start".to_owned(),
    };
    match &retention.next {
        Some(next) => format!("{rules}; {last}; the next run is on {}", time(next)),
        None => format!("{rules}; {last}"),
    }
}

fn of_abilities(screen: &mut Screen, abilities: &Known) {
    let known = |able: Option<bool>, yes: &str, no: &str| match able {
        Some(true) => yes.to_owned(),
        Some(false) => no.to_owned(),
        None => "not known: a login or a right is missing, or there is no repository to ask about".to_owned(),
    };
    screen.line(
        "API",
        abilities
            .api
            .as_deref()
            .unwrap_or("answers, and names no version"),
    );
    screen.line("login", abilities.login);
    screen.line(
        "catalogue",
        &known(
            abilities.lists_repositories,
            "lists its repositories",
            "does not list its repositories, or not to this user",
        ),
    );
    screen.line(
        "referrers",
        &known(
            abilities.lists_referrers,
            "lists them",
            "does not list them; clients keep them at tags",
        ),
    );
    screen.line(
        "deletions",
        &known(
            abilities.deletes,
            "possible",
            "not possible, or switched off (`storage.delete.enabled`)",
        ),
    );
}
