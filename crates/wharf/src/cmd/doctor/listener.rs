//! The port, the process that has it, and the health of the server that answers there.

use std::io;

use wharf_http::BindError;

use super::{super::healthcheck, report::Report};
use crate::config::{Listen, Settings};

const PORT: &str = "port";
const SERVER: &str = "server";

/// Processes that hold the port of a running registry: the server itself, or what hands its connections on.
const OURS: [&str; 7] = [
    "wharf",
    "registry",
    "systemd",
    "docker-proxy",
    "rootlessport",
    "rootlesskit",
    "conmon",
];

/// Looks at the port, and asks the server if one runs. Returns whether no process has the address.
pub(super) async fn look(settings: &Settings, report: &mut Report) -> bool {
    let is_free = address(settings, report).await;
    debug_address(settings, report).await;
    is_free
}

async fn address(settings: &Settings, report: &mut Report) -> bool {
    match &settings.listen {
        Listen::Tcp(address) => match wharf_http::bind(address).await {
            Ok(_listener) => {
                report.ok(PORT, format!("`{address}` is free"));
                report.ok(SERVER, "no server runs; `wharf serve` starts one");
                true
            }
            Err(BindError::InUse { address, owner }) => {
                in_use(settings, &address.to_string(), owner.as_deref(), report).await;
                false
            }
            Err(error) => {
                report.problem(PORT, chain(&error), remedy(&error));
                false
            }
        },
        Listen::Unix(path, _) => match ask(settings).await {
            Ok(status) => {
                report.ok(PORT, format!("a server answers at `{}`", path.display()));
                health(status, report);
                false
            }
            Err(_) => {
                report.ok(PORT, format!("no server answers at `{}`", path.display()));
                report.ok(SERVER, "no server runs; `wharf serve` starts one");
                true
            }
        },
    }
}

async fn debug_address(settings: &Settings, report: &mut Report) {
    if let Some(debug) = &settings.debug
        && let Err(error) = wharf_http::bind(&debug.address).await
    {
        let is_ours =
            matches!(&error, BindError::InUse { owner, .. } if owner.as_deref().is_none_or(is_ours));
        if !is_ours {
            let text = format!("`http.debug.addr`: {}", chain(&error));
            report.problem(PORT, text, "choose another address for `http.debug.addr`");
        }
    }
}

async fn in_use(settings: &Settings, address: &str, owner: Option<&str>, report: &mut Report) {
    let holder = owner.unwrap_or("a process of another user");
    if owner.is_some_and(|owner| !is_ours(owner)) {
        return report.problem(
            PORT,
            format!("{address} is used by {holder}"),
            "stop that process, or choose another port with `http.addr`",
        );
    }
    let expected = if settings.tls.is_some() { 400 } else { 200 };
    match ask(settings).await {
        // Requests without TLS are refused with 400, before the health is known.
        Ok(status) if owner.is_some() || [expected, 503].contains(&status) => {
            report.ok(PORT, format!("{address} is used by {holder}, which answers"));
            health(status, report);
        }
        Ok(status) => report.warning(
            PORT,
            format!("{address} is used by {holder}, which answers {status}, not as a registry with this configuration would"),
            "run this as root to see which process it is",
        ),
        Err(error) => report.problem(
            PORT,
            format!("{address} is used by {holder}, which does not answer: {error:#}"),
            "look at its log, and start it again",
        ),
    }
}

fn health(status: u16, report: &mut Report) {
    match status {
        503 => report.problem(
            SERVER,
            "the server says that it is not healthy",
            "`/debug/health` on `http.debug.addr` names the reason, and so does its log",
        ),
        _ => report.ok(SERVER, "a server runs, and answers"),
    }
}

async fn ask(settings: &Settings) -> anyhow::Result<u16> {
    let listen = settings.listen.clone();
    tokio::task::spawn_blocking(move || healthcheck::answer(&listen)).await?
}

/// Whether the owner of a port, such as `pid 123 (wharf)`, is a registry.
fn is_ours(owner: &str) -> bool {
    let name = owner.rsplit_once('(').map_or(owner, |(_, name)| name);
    OURS.contains(&name.trim_end_matches(')'))
}

fn chain(error: &BindError) -> String {
    match error {
        BindError::Other { address, source } => format!("cannot listen on {address}: {source}"),
        error => error.to_string(),
    }
}

fn remedy(error: &BindError) -> &'static str {
    match error {
        BindError::Other { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "choose a port above 1023 with `http.addr`, or let the server listen below it: `AmbientCapabilities=CAP_NET_BIND_SERVICE` \
             in its systemd unit"
        }
        BindError::Other { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `http.addr: :5000` stands for all that it has"
        }
        _ => "correct `http.addr`, such as `:5000` for all addresses of this machine",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_name() {
        assert!(is_ours("pid 12 (wharf)") && is_ours("pid 1 (systemd)"));
        assert!(!is_ours("pid 12 (nginx)") && !is_ours("pid 12 (my-wharf)"));
    }
}
