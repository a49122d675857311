//! `log`: level and format of the application log, and the access log.

use tracing::Level;
use wharf_http::{AccessLogExclusions, AccessLogFormat, Network};

use super::{
    Log, LogFormat,
    keys::{Key, Pairs, Since, keys, words},
    section::Section,
};

keys! {
    LEVEL: Level = Key::new("log.level").default("info").help("Least severe level that is logged to stderr");
    FORMATTER: LogFormat = Key::new("log.formatter").default("text").help("Format of the log");
    FIELDS: Pairs = Key::fields("log.fields").help("Fields, as names and values, that every log line has");
    ACCESS_LOG_DISABLED: bool = Key::new("log.accesslog.disabled")
        .default("false")
        .help("Do not write the access log to stdout, which has a line for each request");
    ACCESS_LOG_FORMAT: AccessLogFormat = Key::new("log.accesslog.format")
        .default("combined")
        .help("Format of the access log: Apache's combined format, or JSON")
        .since(Since::Ours);
    EXCLUDED_PATHS: Vec<String> = Key::list("log.accesslog.exclude.paths")
        .help("Paths without a line in the access log, `*` for any characters: `/v2/`")
        .since(Since::Ours);
    EXCLUDED_AGENTS: Vec<String> = Key::list("log.accesslog.exclude.useragents")
        .help("Clients without a line in the access log, by `User-Agent`: `kube-probe/*`")
        .since(Since::Ours);
    EXCLUDED_NETWORKS: Vec<String> = Key::list("log.accesslog.exclude.networks")
        .help("Networks of clients without a line in the access log: `10.0.3.0/24`")
        .since(Since::Ours);
    REPORT_CALLER: bool = Key::new("log.reportcaller")
        .default("false")
        .help("Add file and line of the source code to each log line")
        .since(Since::From3("3.0"));
}

words! { Level: "error" => Self::ERROR, "warn" => Self::WARN, "info" => Self::INFO, "debug" => Self::DEBUG }

words! { LogFormat: "text" => Self::Text, "json" => Self::Json, "logstash" => Self::Logstash }

words! { AccessLogFormat: "combined" => Self::Combined, "json" => Self::Json }

pub(super) fn read(root: &Section<'_>) -> Log {
    let fields = root.get(FIELDS).into_iter();
    Log {
        level: root.get(LEVEL),
        format: root.get(FORMATTER),
        with_caller: root.get(REPORT_CALLER),
        fields: fields.map(|(name, values)| (name, values.join(", "))).collect(),
        access_log_exclusions: exclusions(root),
        access_log: (!root.get(ACCESS_LOG_DISABLED)).then(|| root.get(ACCESS_LOG_FORMAT)),
    }
}

/// Reads the requests that have no line in the access log.
fn exclusions(root: &Section<'_>) -> AccessLogExclusions {
    // No text is an invalid pattern.
    let patterns = |key: Key<Vec<String>>| {
        root.get(key)
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    };
    let mut networks: Vec<Network> = Vec::new();
    for text in root.get(EXCLUDED_NETWORKS) {
        match text.trim().parse() {
            Ok(network) => networks.push(network),
            Err(error) => root.problem(EXCLUDED_NETWORKS, &format!("cannot be used: {error}")),
        }
    }
    AccessLogExclusions {
        paths: patterns(EXCLUDED_PATHS),
        user_agents: patterns(EXCLUDED_AGENTS),
        networks,
    }
}
