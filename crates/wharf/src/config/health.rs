//! `health`: the health checks.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use http::{StatusCode, Uri};
use wharf_http::redact;
use wharf_server::{Check, HttpProbe, Target};

use super::{
    Health, StorageCheck, headers,
    keys::{Default, Key, List, NonZero, Pairs, Positive, keys},
    section::Section,
};

/// Shortest interval: a check without a pause would keep a processor busy.
const SHORTEST: Duration = Duration::from_millis(10);

const THRESHOLD: &str = "Number of failures in a row after which the check fails";

keys! {
    STORAGE_ENABLED: bool = Key::new("health.storagedriver.enabled")
        .default("false")
        .help("Check that the store can be used; while a check fails, every request is answered with 503");
    STORAGE_INTERVAL: Positive<Duration> = Key::new("health.storagedriver.interval")
        .default("10s")
        .help("Time between two checks");
    STORAGE_THRESHOLD: i64 = Key::new("health.storagedriver.threshold")
        .default("0")
        .help(THRESHOLD);
    FILES: List = Key::sections("health.file")
        .help("Files that make the server unhealthy as long as they exist")
        .variable("FILECHECKERS");
    FILE: Option<String> = Key::new("health.file[].file").help("Path of the file");
    FILE_INTERVAL: Positive<Duration> = Key::new("health.file[].interval")
        .default("10s")
        .help("Time between two checks");
    URLS: List = Key::sections("health.http")
        .help("URLs that must answer `HEAD` with the expected status")
        .variable("HTTPCHECKERS");
    URI: Option<String> = Key::new("health.http[].uri").help("The URL, `http://…`");
    HEADERS: Pairs = Key::secret_headers("health.http[].headers").help("Headers to send");
    STATUS: NonZero = Key::new("health.http[].statuscode")
        .default("200")
        .help("Expected status");
    URL_TIMEOUT: Option<Positive<Duration>> = Key::new("health.http[].timeout")
        .shown_default(Default::Words("the interval"))
        .help("Longest time until the answer");
    URL_INTERVAL: Positive<Duration> = Key::new("health.http[].interval")
        .default("10s")
        .help("Time between two checks");
    URL_THRESHOLD: i64 = Key::new("health.http[].threshold")
        .default("0")
        .help(THRESHOLD);
    ADDRESSES: List = Key::sections("health.tcp")
        .help("Addresses that must accept connections")
        .variable("TCPCHECKERS");
    ADDRESS: Option<String> = Key::new("health.tcp[].addr").help("`host:port`");
    ADDRESS_TIMEOUT: Option<Positive<Duration>> = Key::new("health.tcp[].timeout")
        .shown_default(Default::Words("the interval"))
        .help("Longest time until a connection");
    ADDRESS_INTERVAL: Positive<Duration> = Key::new("health.tcp[].interval")
        .default("10s")
        .help("Time between two checks");
    ADDRESS_THRESHOLD: i64 = Key::new("health.tcp[].threshold")
        .default("0")
        .help(THRESHOLD);
}

pub(super) fn read(root: &Section<'_>) -> Health {
    let storage = root.get(STORAGE_ENABLED).then(|| StorageCheck {
        interval: interval(root, STORAGE_INTERVAL),
        threshold: threshold(root, STORAGE_THRESHOLD),
    });
    let (files, urls, addresses) = (
        root.elements(FILES),
        root.elements(URLS),
        root.elements(ADDRESSES),
    );
    let found = (files.iter().map(|section| (section, FILE, file(section))))
        .chain(urls.iter().map(|section| (section, URI, url(section))))
        .chain(
            addresses
                .iter()
                .map(|section| (section, ADDRESS, address(section))),
        );
    let mut targets = BTreeSet::new();
    let mut checks: Vec<Check<Target>> = Vec::new();
    for (section, key, check) in found {
        let Some(mut check) = check else { continue };
        if targets.insert(check.name.clone()) {
            check.name = shown_name(&check.name, &checks);
            checks.push(check);
        } else {
            section.problem(key, "is there twice; each check needs a target of its own");
        }
    }
    Health { storage, checks }
}

/// The name of a check in `/debug/health`, metrics and the log: its target without secrets. Targets that differ in a
/// secret alone are numbered.
fn shown_name(target: &str, others: &[Check<Target>]) -> String {
    let shown = redact::configured(target, redact::REDACTED);
    let numbered = (2..).map(|number| format!("{shown} ({number})"));
    let is_free = |name: &String| others.iter().all(|other| other.name != *name);
    let mut names = std::iter::once(shown.clone().into_owned()).chain(numbered);
    names.find(is_free).unwrap_or_default()
}

fn file(section: &Section<'_>) -> Option<Check<Target>> {
    let path = required(section, FILE)?;
    Some(Check {
        probe: Target::File(PathBuf::from(&path)),
        name: path,
        interval: interval(section, FILE_INTERVAL),
        threshold: 1,
    })
}

fn url(section: &Section<'_>) -> Option<Check<Target>> {
    let text = required(section, URI)?;
    let uri = match text.parse::<Uri>() {
        Ok(uri)
            if uri
                .authority()
                .is_some_and(|authority| authority.as_str().contains('@')) =>
        {
            section.problem(
                URI,
                "must not have a password in it, it would be shown; put `Authorization` into `headers`",
            );
            return None;
        }
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() => uri,
        _ => {
            section.problem(URI, "must be a URL such as `http://127.0.0.1:8080/healthz`");
            return None;
        }
    };
    let interval = interval(section, URL_INTERVAL);
    Some(Check {
        name: text,
        probe: Target::Http(Box::new(HttpProbe {
            uri,
            headers: headers::read_secret(section, HEADERS, |_| true),
            status: status(section)?,
            timeout: timeout(section, URL_TIMEOUT, interval),
        })),
        interval,
        threshold: threshold(section, URL_THRESHOLD),
    })
}

fn status(section: &Section<'_>) -> Option<StatusCode> {
    let NonZero(number) = section.get(STATUS);
    let status = u16::try_from(number).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    if status.is_none() {
        section.problem(STATUS, "must be an HTTP status, from 100 to 999");
    }
    status
}

fn address(section: &Section<'_>) -> Option<Check<Target>> {
    let address = required(section, ADDRESS)?;
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        section.problem(ADDRESS, "must be `host:port`");
        return None;
    }
    let interval = interval(section, ADDRESS_INTERVAL);
    Some(Check {
        name: address.clone(),
        probe: Target::Tcp {
            address,
            timeout: timeout(section, ADDRESS_TIMEOUT, interval),
        },
        interval,
        threshold: threshold(section, ADDRESS_THRESHOLD),
    })
}

fn required(section: &Section<'_>, key: Key<Option<String>>) -> Option<String> {
    let text = section.get(key);
    if text.is_none() {
        section.problem(key, "is missing: the check has no target without it");
    }
    text
}

fn interval(section: &Section<'_>, key: Key<Positive<Duration>>) -> Duration {
    section.get(key).0.max(SHORTEST)
}

/// registry:2 waits for ever when the key is absent; a check that hangs would then never fail.
fn timeout(section: &Section<'_>, key: Key<Option<Positive<Duration>>>, interval: Duration) -> Duration {
    section.get(key).map_or(interval, |timeout| timeout.0)
}

fn threshold(section: &Section<'_>, key: Key<i64>) -> u32 {
    u32::try_from(section.get(key)).unwrap_or_else(|_| {
        section.problem(key, "must be a number from 0 on");
        0
    })
}
