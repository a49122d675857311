//! What of the state of a registry needs the attention of its operator, with what to do.

use jiff::{SignedDuration, Timestamp};
use wharf_server::admin::wire;

use super::State;
use crate::cmd::size::readable;

/// Share of the file system, in percent, below which free space is too little.
const LITTLE: u64 = 10;

/// Remaining time of a certificate below which it is to be renewed.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What needs attention.
pub(super) fn of(state: &State) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(server) = &state.server {
        of_server(server, &mut found);
    }
    if let Some(usage) = &state.usage {
        of_space(usage, &mut found);
    }
    let last = state
        .collections
        .as_ref()
        .and_then(|collections| collections.last.as_ref());
    if let Some(last) = last {
        if let Some(error) = &last.error {
            found.push(format!("the last collection ended early: {error}"));
        }
        if !last.findings.is_empty() {
            found.push(format!(
                "the last collection kept damaged or unknown content in {} place(s); `wharf gc` names them, `wharf fsck` checks all",
                last.findings.len()
            ));
        }
    }
    let last = state
        .retention
        .as_ref()
        .and_then(|retention| retention.last.as_ref());
    for refused in last.into_iter().flat_map(|last| &last.refused) {
        found.push(format!(
            "retention took nothing from `{}`: {}",
            refused.repository, refused.problem
        ));
    }
    found
}

fn of_server(server: &wire::Server, found: &mut Vec<String>) {
    for (check, why) in &server.failing {
        found.push(format!("the health check `{check}` fails: {why}"));
    }
    if let Some(scrub) = &server.scrub
        && scrub.damaged > 0
    {
        found.push(format!(
            "{} blob(s) are damaged; `wharf fsck` names the images that suffer",
            scrub.damaged
        ));
    }
    if let Some(certificate) = &server.certificate
        && let Ok(ends) = certificate.ends.parse::<Timestamp>()
        && ends.duration_since(Timestamp::now()) < SOON
    {
        found.push(format!(
            "the certificate ends on {}; put a new one at its place, which needs no restart",
            certificate.ends
        ));
    }
    let replicas = server.replicas.iter().flatten();
    for replica in replicas.filter(|replica| replica.version != server.version) {
        found.push(format!(
            "the replica at {} of `{}` runs version {}, and the one that answers {}",
            replica.address, replica.host, replica.version, server.version
        ));
    }
}

fn of_space(usage: &wire::Usage, found: &mut Vec<String>) {
    if let (Some(free), Some(capacity)) = (usage.free, usage.capacity)
        && free < capacity / 100 * LITTLE
    {
        found.push(format!(
            "only {} of {} are free; `wharf gc`, `wharf prune` and `wharf trash empty` make room",
            readable(free),
            readable(capacity)
        ));
    }
    let damaged: Vec<&wire::RepositoryUsage> = usage
        .repositories
        .iter()
        .filter(|repository| repository.damaged > 0)
        .collect();
    if let Some(first) = damaged.first() {
        found.push(format!(
            "manifests of {} repositories are damaged or missing, such as {} of `{}`; `wharf fsck` names the images that suffer",
            damaged.len(),
            first.damaged,
            first.name
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn server() -> wire::Server {
        wire::Server {
            name: "wharf".to_owned(),
            version: "1".to_owned(),
            commit: String::new(),
            build: String::new(),
            engine: "filesystem".to_owned(),
            started: String::new(),
            uptime: 1,
            healthy: true,
            failing: BTreeMap::new(),
            replicas: None,
            scrub: None,
            certificate: None,
            workers: Vec::new(),
        }
    }

    fn with(server: wire::Server) -> State {
        State {
            server: Some(server),
            ..State::default()
        }
    }

    #[test]
    fn what_is_well_needs_no_attention() {
        assert_eq!(of(&State::default()), Vec::<String>::new());
        assert_eq!(of(&with(server())), Vec::<String>::new());
        let state = State {
            usage: Some(usage(20, 100)),
            ..State::default()
        };
        assert_eq!(of(&state), Vec::<String>::new());
    }

    #[test]
    fn what_is_unwell_is_named_with_what_to_do() {
        let says = |state: &State, part: &str| {
            let found = of(state);
            assert!(found.iter().any(|text| text.contains(part)), "{part}: {found:?}");
        };
        let failing = BTreeMap::from([("storage".to_owned(), "it is full".to_owned())]);
        says(&with(wire::Server { failing, ..server() }), "it is full");
        let certificate = |days: i64| {
            let ends = Timestamp::now() + SignedDuration::from_hours(24 * days);
            let certificate = Some(wire::CertificateState {
                ends: ends.to_string(),
            });
            with(wire::Server {
                certificate,
                ..server()
            })
        };
        says(&certificate(3), "certificate ends");
        assert_eq!(of(&certificate(60)), Vec::<String>::new());
        let scrub = Some(wire::ScrubState {
            rate: None,
            interval: None,
            round: None,
            blobs: 1,
            bytes: 1,
            damaged: 2,
            ended: None,
        });
        says(&with(wire::Server { scrub, ..server() }), "2 blob(s)");
        let state = State {
            usage: Some(usage(5, 100)),
            ..State::default()
        };
        says(&state, "wharf prune");
    }

    fn usage(free: u64, capacity: u64) -> wire::Usage {
        wire::Usage {
            trash: None,
            repositories: Vec::new(),
            total: 0,
            size: 0,
            uncounted: 0,
            free: Some(free << 30),
            capacity: Some(capacity << 30),
            problem: None,
            problem_messages: Vec::new(),
        }
    }
}
