//! The certificate, its names and its expiry, and whether the clients of this machine trust it.

use std::{
    env,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use wharf_http::{InspectedCertificate, Tls};

use super::report::{Report, State};
use crate::config::{Listen, Settings};

const CERTIFICATE: &str = "certificate";
const TRUST: &str = "trust";

/// Remaining time below which the expiry is a warning.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at the certificate, and at the directories in which clients on this machine look for one to trust.
pub(super) fn look(settings: &Settings, report: &mut Report) {
    let Some(tls) = &settings.tls else {
        return without_tls(settings, report);
    };
    let renewal = format!(
        "a new one: remove `{}` and its key, and run `wharf cert new NAME`; or ask the authority that signed it",
        tls.certificate.display()
    );
    let certificate = match Tls::inspect(tls) {
        Ok(certificate) => certificate,
        Err(error) => {
            return report.problem(
                CERTIFICATE,
                error.to_string(),
                "`wharf cert new NAME --out PREFIX` makes a key and a certificate that fit",
            );
        }
    };
    let hosts = hosts(settings, &certificate);
    examine(&certificate, settings.server.host.as_deref(), &renewal, report);
    if let Some(port) = port(settings) {
        trust(&certificate, &hosts, port, &tls.certificate, &places(), report);
    }
}

fn without_tls(settings: &Settings, report: &mut Report) {
    let is_behind_tls = settings
        .server
        .host
        .as_ref()
        .is_some_and(|host| host.starts_with("https://"));
    let is_local = match &settings.listen {
        Listen::Tcp(address) => ["127.", "localhost:", "[::1]:"]
            .iter()
            .any(|local| address.starts_with(local)),
        Listen::Unix(..) => true,
    };
    match settings.auth.is_some() && !is_behind_tls && !is_local {
        true => report.warning(
            CERTIFICATE,
            "none: passwords cross the network in clear text",
            "`wharf cert new NAME` makes one for `http.tls`; behind a proxy that speaks TLS, set `http.host: https://NAME`",
        ),
        false => report.ok(CERTIFICATE, "none; connections are not encrypted"),
    }
}

fn examine(certificate: &InspectedCertificate, host: Option<&str>, renewal: &str, report: &mut Report) {
    for warning in &certificate.warnings {
        report.problem(CERTIFICATE, warning, renewal);
    }
    let left = certificate.not_after.duration_since(Timestamp::now());
    if left.is_positive() && left < SOON {
        let days = left.as_hours() / 24;
        let text = format!("it expires in {days} days, at {}", certificate.not_after);
        report.warning(CERTIFICATE, text, renewal);
    }
    if let Some(at) = certificate.gap {
        report.problem(
            CERTIFICATE,
            format!("number {at} of its file is not signed by number {}", at + 1),
            "put the server's own certificate first, then each with the one that signed it behind it",
        );
    }
    let host = host.map(host_of);
    if let Some(host) = host
        && !certificate.is_for(host)
    {
        report.warning(
            CERTIFICATE,
            format!(
                "`http.host` sends clients to `{host}`, and it is for {} only",
                certificate.names.join(", ")
            ),
            format!("`wharf cert new {host} --out PREFIX` makes one for that name, unless a proxy in front shows one; or correct `http.host`"),
        );
    }
    if report.worst_of(CERTIFICATE).is_none() {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let but = match host.is_none() && !machine.is_empty() && !certificate.is_for(&machine) {
            true => format!(" (not for `{machine}`, the name of this machine)"),
            false => String::new(),
        };
        let names = certificate.names.join(", ");
        report.ok(
            CERTIFICATE,
            format!("for {names}{but}, until {}", certificate.not_after),
        );
    }
}

/// The host of a URL, without scheme and port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The names under which clients reach the server: those of the certificate, but no wildcards.
fn hosts(settings: &Settings, certificate: &InspectedCertificate) -> Vec<String> {
    let configured = settings.server.host.as_deref().map(host_of).map(str::to_owned);
    let named = certificate.names.iter().filter(|name| !name.contains('*'));
    let mut hosts: Vec<String> = configured.into_iter().chain(named.cloned()).collect();
    hosts.dedup();
    hosts
}

fn port(settings: &Settings) -> Option<u16> {
    match &settings.listen {
        Listen::Tcp(address) => address.rsplit_once(':')?.1.parse().ok(),
        Listen::Unix(..) => None,
    }
}

/// A client, and a directory in which it looks for certificates to trust, below `certs.d`.
struct Place {
    client: &'static str,
    directory: PathBuf,
}

fn places() -> Vec<Place> {
    let mut places: Vec<Place> = [
        ("docker", "/etc/docker/certs.d"),
        ("podman", "/etc/containers/certs.d"),
    ]
    .map(|(client, directory)| Place {
        client,
        directory: directory.into(),
    })
    .into();
    if let Some(home) = env::var_os("HOME").map(PathBuf::from) {
        let of_user = [
            ("docker", ".config/docker/certs.d"),
            ("podman", ".config/containers/certs.d"),
        ];
        places.extend(of_user.map(|(client, directory)| Place {
            client,
            directory: home.join(directory),
        }));
    }
    places
}

/// Compares the certificates that clients of this machine trust for each host with the server's.
fn trust(
    certificate: &InspectedCertificate,
    hosts: &[String],
    port: u16,
    path: &Path,
    places: &[Place],
    report: &mut Report,
) {
    let mut trusting = Vec::new();
    for place in places {
        for host in hosts {
            let registry = match port {
                443 => host.clone(),
                port if host.contains(':') => format!("[{host}]:{port}"),
                port => format!("{host}:{port}"),
            };
            let directory = place.directory.join(&registry);
            if !directory.is_dir() {
                continue;
            }
            let target = directory.join("ca.crt");
            let remedy = format!("sudo cp {} {}", path.display(), target.display());
            let authorities = authorities(&directory);
            if authorities.iter().any(|pem| certificate.is_trusted_by(pem)) {
                trusting.push(format!("{} ({registry})", place.client));
            } else if authorities.is_empty() {
                let text = format!(
                    "{} reads files `*.crt` in `{}`, and there is none",
                    place.client,
                    directory.display()
                );
                report.warning(TRUST, text, remedy);
            } else {
                let text = format!(
                    "{} trusts another certificate for `{registry}` than the one that is served: what is in `{}` has not signed it",
                    place.client,
                    directory.display()
                );
                report.warning(TRUST, text, remedy);
            }
        }
    }
    if report.worst_of(TRUST).is_some_and(|worst| worst > State::Ok) {
        return;
    }
    match (trusting.is_empty(), certificate.is_self_signed) {
        (false, _) => report.ok(
            TRUST,
            format!("trusted on this machine by {}", trusting.join(", ")),
        ),
        (true, true) => {
            let host = hosts.first().map_or("HOST", String::as_str);
            let text = format!(
                "no client of this machine is told to trust it; `wharf cert trust {host}:{port} --ca {}` prints the steps",
                path.display()
            );
            report.ok(TRUST, text);
        }
        (true, false) => report.ok(
            TRUST,
            "signed by an authority; clients that trust that need no step",
        ),
    }
}

/// The certificates in a directory of `certs.d`, file by file.
fn authorities(directory: &Path) -> Vec<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "files of clients, not of the store")]
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    #[expect(clippy::disallowed_methods, reason = "files of clients, not of the store")]
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .filter_map(|path| std::fs::read(path).ok())
        .collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes the files of clients")]
mod tests {
    use wharf_http::{ClientAuth, TlsOptions};

    use super::{super::super::cert::Wanted, *};

    fn inspected(directory: &Path, name: &str) -> (InspectedCertificate, String) {
        let wanted = Wanted {
            names: vec![name.to_owned()],
            addresses: Vec::new(),
            days: 10,
            is_rsa: false,
        };
        let made = wanted.make().unwrap();
        let (certificate, key) = (directory.join("own.crt"), directory.join("own.key"));
        std::fs::write(&certificate, &made.certificate).unwrap();
        std::fs::write(&key, &made.key).unwrap();
        let options = TlsOptions {
            certificate,
            key,
            client_authorities: Vec::new(),
            client_auth: ClientAuth::default(),
            tls13_only: false,
            cipher_suites: Vec::new(),
            http2: true,
        };
        (Tls::inspect(&options).unwrap(), made.certificate)
    }

    #[test]
    fn clients_trust_what_is_served_or_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, pem) = inspected(directory.path(), "registry.test");
        let (_, other) = inspected(directory.path(), "registry.test");
        let look = || {
            let mut report = Report::default();
            let place = Place {
                client: "docker",
                directory: directory.path().join("certs.d"),
            };
            let hosts = ["registry.test".to_owned()];
            let path = Path::new("/srv/domain.crt");
            trust(&certificate, &hosts, 5000, path, &[place], &mut report);
            report.lines.remove(0)
        };
        let steps = "`wharf cert trust registry.test:5000 --ca /srv/domain.crt` prints the steps";
        let line = look();
        assert!(line.state == State::Ok && line.text.contains(steps), "{line:?}");

        let of_host = directory.path().join("certs.d/registry.test:5000");
        std::fs::create_dir_all(&of_host).unwrap();
        std::fs::write(of_host.join("ca.pem"), &pem).unwrap();
        let line = look();
        assert!(line.text.contains("reads files `*.crt`"), "{line:?}");
        let copy = format!("sudo cp /srv/domain.crt {}/ca.crt", of_host.display());
        assert_eq!((line.state, line.remedy), (State::Warning, Some(copy.clone())));

        std::fs::write(of_host.join("ca.crt"), other).unwrap();
        let line = look();
        assert!(
            line.text.contains("docker trusts another certificate"),
            "{line:?}"
        );
        assert_eq!((line.state, line.remedy), (State::Warning, Some(copy)));

        std::fs::write(of_host.join("ca.crt"), pem).unwrap();
        let line = look();
        assert_eq!(
            line.text,
            "trusted on this machine by docker (registry.test:5000)"
        );
    }

    #[test]
    fn hosts_are_taken_from_urls() {
        for (url, host) in [
            ("https://registry.example.com", "registry.example.com"),
            (
                "https://registry.example.com:5443/registry/",
                "registry.example.com",
            ),
            ("https://[::1]:5000", "[::1]"),
            ("registry:5000", "registry"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
