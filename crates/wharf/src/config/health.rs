//! `health`: what is looked at to tell whether the server is well.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use http::{StatusCode, Uri};
use wharf_server::{Check, DEFAULT_INTERVAL, HttpProbe, Probe};

use super::{
    Health, StorageCheck, headers,
    keys::{Default, Key, Kind},
    raw::Section,
};

/// A check that never waits between two looks would do nothing else.
const SHORTEST: Duration = Duration::from_millis(10);

const INTERVAL: Default = Default::Value("10s");
const TIMEOUT: Default = Default::Words("the interval");
const THRESHOLD: &str = "How many looks in a row must fail";

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "health.storagedriver.enabled",
        Kind::Boolean,
        Default::Value("false"),
        "Look whether the store can be used; while a check fails, every request is answered with 503",
    ),
    Key::works(
        "health.storagedriver.interval",
        Kind::Duration,
        INTERVAL,
        "How often",
    ),
    Key::works(
        "health.storagedriver.threshold",
        Kind::Number,
        Default::Value("0"),
        THRESHOLD,
    ),
    Key::works(
        "health.file",
        Kind::List,
        Default::None,
        "Files that make the server unhealthy as long as they exist",
    )
    .variable("FILECHECKERS"),
    Key::works(
        "health.file[].file",
        Kind::Text,
        Default::None,
        "The path of the file",
    ),
    Key::works(
        "health.file[].interval",
        Kind::Duration,
        INTERVAL,
        "How often to look",
    ),
    Key::accepted(
        "health.file[].threshold",
        Kind::Number,
        "a file that exists is no accident: it counts at once",
    ),
    Key::works(
        "health.http",
        Kind::List,
        Default::None,
        "URLs that must answer `HEAD` with the expected status",
    )
    .variable("HTTPCHECKERS"),
    Key::works(
        "health.http[].uri",
        Kind::Text,
        Default::None,
        "The URL, `http://…`",
    ),
    Key::works(
        "health.http[].headers",
        Kind::Headers { is_secret: true },
        Default::None,
        "Headers to send",
    ),
    Key::works(
        "health.http[].statuscode",
        Kind::Number,
        Default::Value("200"),
        "The expected status",
    ),
    Key::works(
        "health.http[].timeout",
        Kind::Duration,
        TIMEOUT,
        "How long the answer may take",
    ),
    Key::works(
        "health.http[].interval",
        Kind::Duration,
        INTERVAL,
        "How often to ask",
    ),
    Key::works(
        "health.http[].threshold",
        Kind::Number,
        Default::Value("0"),
        THRESHOLD,
    ),
    Key::works(
        "health.tcp",
        Kind::List,
        Default::None,
        "Addresses at which somebody must listen",
    )
    .variable("TCPCHECKERS"),
    Key::works("health.tcp[].addr", Kind::Text, Default::None, "`host:port`"),
    Key::works(
        "health.tcp[].timeout",
        Kind::Duration,
        TIMEOUT,
        "How long connecting may take",
    ),
    Key::works(
        "health.tcp[].interval",
        Kind::Duration,
        INTERVAL,
        "How often to connect",
    ),
    Key::works(
        "health.tcp[].threshold",
        Kind::Number,
        Default::Value("0"),
        THRESHOLD,
    ),
];

pub(super) fn read(health: &Section<'_>) -> Health {
    let storage = health.section("storagedriver");
    let storage = storage.boolean("enabled").unwrap_or(false).then(|| StorageCheck {
        interval: interval(&storage),
        threshold: threshold(&storage),
    });
    let files = health.sections("file");
    let urls = health.sections("http");
    let addresses = health.sections("tcp");
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    let found = (files.iter().map(|section| (section, "file", file(section))))
        .chain(urls.iter().map(|section| (section, "uri", url(section))))
        .chain(
            addresses
                .iter()
                .map(|section| (section, "addr", address(section))),
        );
    for (section, key, check) in found {
        let Some(check) = check else { continue };
        if names.insert(check.name.clone()) {
            checks.push(check);
        } else {
            section.problem(key, "is there twice; a check is known by what it looks at");
        }
    }
    Health { storage, checks }
}

fn file(section: &Section<'_>) -> Option<Check> {
    let path = required(section, "file")?;
    Some(Check {
        probe: Probe::File(PathBuf::from(&path)),
        name: path,
        interval: interval(section),
        threshold: 1,
    })
}

fn url(section: &Section<'_>) -> Option<Check> {
    let text = required(section, "uri")?;
    let uri = match text.parse::<Uri>() {
        Ok(uri)
            if uri
                .authority()
                .is_some_and(|authority| authority.as_str().contains('@')) =>
        {
            section.problem(
                "uri",
                "must not have a password in it, it would be shown; put `Authorization` into `headers`",
            );
            return None;
        }
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() => uri,
        _ => {
            section.problem("uri", "must be a URL such as `http://127.0.0.1:8080/healthz`");
            return None;
        }
    };
    let status = section
        .number("statuscode")
        .filter(|&status| status != 0)
        .unwrap_or(200);
    let status = u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok());
    let Some(status) = status else {
        section.problem("statuscode", "must be a status of HTTP, from 100 to 999");
        return None;
    };
    Some(Check {
        name: text,
        probe: Probe::Http(Box::new(HttpProbe {
            uri,
            headers: headers::read_secret(section, |_| true),
            status,
            timeout: timeout(section),
        })),
        interval: interval(section),
        threshold: threshold(section),
    })
}

fn address(section: &Section<'_>) -> Option<Check> {
    let address = required(section, "addr")?;
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        section.problem("addr", "must be `host:port`");
        return None;
    }
    Some(Check {
        name: address.clone(),
        probe: Probe::Tcp {
            address,
            timeout: timeout(section),
        },
        interval: interval(section),
        threshold: threshold(section),
    })
}

fn required(section: &Section<'_>, key: &str) -> Option<String> {
    let text = section.string(key);
    if text.is_none() {
        section.problem(key, "is missing: there is nothing to look at without it");
    }
    text
}

fn interval(section: &Section<'_>) -> Duration {
    let interval = section
        .duration("interval")
        .filter(|interval| !interval.is_zero());
    interval.unwrap_or(DEFAULT_INTERVAL).max(SHORTEST)
}

/// registry:2 waits for ever when nothing is said; a check that hangs would then never fail.
fn timeout(section: &Section<'_>) -> Duration {
    let timeout = section.duration("timeout").filter(|timeout| !timeout.is_zero());
    timeout.unwrap_or_else(|| interval(section))
}

fn threshold(section: &Section<'_>) -> u32 {
    let threshold = section.number("threshold").unwrap_or(0);
    u32::try_from(threshold).unwrap_or_else(|_| {
        section.problem("threshold", "must be a number from 0 on");
        0
    })
}
