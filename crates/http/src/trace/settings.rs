//! The settings of traces, from the standard `OTEL_*` variables of the environment.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::context::Sampler;
use crate::redact;

const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// Settings of traces.
#[derive(Clone, PartialEq)]
pub struct TraceSettings {
    pub(super) endpoint: Uri,
    /// Headers of each request to the collector; they may hold secrets.
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    /// Attributes of the resource, `service.name` among them.
    pub(super) resource: Vec<(String, String)>,
    pub(super) queue: usize,
    pub(super) batch: usize,
    pub(super) delay: Duration,
}

impl TraceSettings {
    /// Reads the variables. `None`: there are to be no traces, which is so unless `OTEL_TRACES_EXPORTER` is `otlp`, or an
    /// endpoint is named. What cannot be used is told in `warnings`, and the default taken, as the standard asks.
    ///
    /// # Errors
    /// When spans cannot be sent as configured: sending them elsewhere in silence would be worse.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Self>, String> {
        // Empty means unset.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let of_traces = |name: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let has_endpoint = of_traces("ENDPOINT").is_some();
        let is_disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let is_wanted = match variable("OTEL_TRACES_EXPORTER").as_deref() {
            None => has_endpoint,
            Some("none") => false,
            Some("otlp") => true,
            Some(other) => {
                return Err(format!(
                    "`OTEL_TRACES_EXPORTER` must be `otlp` or `none`, not `{}`",
                    other.escape_debug()
                ));
            }
        };
        if is_disabled || !is_wanted {
            return Ok(None);
        }
        match of_traces("PROTOCOL").as_deref() {
            None | Some("http/json" | "http/protobuf") => {}
            Some(other) => {
                return Err(format!(
                    "`OTEL_EXPORTER_OTLP_PROTOCOL` must be `http/json` or `http/protobuf` (spans are sent as JSON, \
                     which collectors take at the same port, 4318), not `{}`",
                    other.escape_debug()
                ));
            }
        }
        let mut reader = Reader {
            variable: &variable,
            warnings,
        };
        Ok(Some(Self {
            endpoint: endpoint(&variable)?,
            headers: headers(&of_traces("HEADERS").unwrap_or_default())?,
            timeout: match of_traces("TIMEOUT").map(|text| text.parse::<u64>()) {
                Some(Ok(milliseconds)) => Duration::from_millis(milliseconds),
                Some(Err(_)) | None => Duration::from_secs(10),
            },
            sampler: reader.sampler(),
            resource: reader.resource(),
            queue: reader.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1 << 20),
            batch: reader.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1 << 14),
            delay: Duration::from_millis(reader.number("OTEL_BSP_SCHEDULE_DELAY", 5000, 1 << 31) as u64),
        }))
    }

    /// The URL of the collector without secrets, for the log.
    pub fn endpoint(&self) -> String {
        redact::configured(&self.endpoint.to_string(), redact::REDACTED).into_owned()
    }
}

impl std::fmt::Debug for TraceSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceSettings")
            .field("endpoint", &self.endpoint())
            .finish_non_exhaustive()
    }
}

/// The endpoint for traces is used as it is; `/v1/traces` is appended to the general one.
fn endpoint(variable: &impl Fn(&str) -> Option<String>) -> Result<Uri, String> {
    let (name, text) = match variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(text) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", text),
        None => {
            let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
            let text = format!("{}/v1/traces", base.trim_end_matches('/'));
            ("OTEL_EXPORTER_OTLP_ENDPOINT", text)
        }
    };
    match text.parse::<Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() => Ok(uri),
        _ => Err(format!("`{name}` must be a URL such as `{DEFAULT_ENDPOINT}`")),
    }
}

/// `name=value,name=value`, values percent-encoded. Errors never show a value.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(text) {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::try_from(value);
        match (name, value) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.append(name, value);
            }
            _ => {
                return Err(
                    "`OTEL_EXPORTER_OTLP_HEADERS` must be `name=value,name=value`, with names and values that headers can have".to_owned(),
                );
            }
        }
    }
    Ok(headers)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let decode = |text: &str| percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

struct Reader<'a, F> {
    variable: &'a F,
    warnings: &'a mut Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<'_, F> {
    fn sampler(&mut self) -> Sampler {
        let name = (self.variable)("OTEL_TRACES_SAMPLER");
        let name = name.as_deref().unwrap_or("parentbased_always_on");
        let (follows_parent, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => self.ratio(),
            _ => {
                let text = format!(
                    "`OTEL_TRACES_SAMPLER` is `{}`, which is none of always_on, always_off, traceidratio and parentbased_…; all requests are traced",
                    name.escape_debug()
                );
                self.warnings.push(text);
                return Sampler {
                    follows_parent: true,
                    ratio: 1.0,
                };
            }
        };
        Sampler {
            follows_parent,
            ratio,
        }
    }

    fn ratio(&mut self) -> f64 {
        let text = (self.variable)("OTEL_TRACES_SAMPLER_ARG");
        let ratio = text.as_deref().map_or(Ok(1.0), str::parse::<f64>);
        match ratio {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                let text = "`OTEL_TRACES_SAMPLER_ARG` must be a number from 0 to 1; all requests are traced";
                self.warnings.push(text.to_owned());
                1.0
            }
        }
    }

    fn resource(&self) -> Vec<(String, String)> {
        let mut resource = pairs(&(self.variable)("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let name = (self.variable)("OTEL_SERVICE_NAME");
        if let Some(name) = name {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".to_owned(), name));
        } else if !resource.iter().any(|(key, _)| key == "service.name") {
            resource.push(("service.name".to_owned(), "wharf".to_owned()));
        }
        resource
    }

    fn number(&mut self, name: &str, default: usize, limit: usize) -> usize {
        let Some(text) = (self.variable)(name) else {
            return default;
        };
        match text.parse::<usize>() {
            Ok(number) if (1..=limit).contains(&number) => number,
            _ => {
                let text = format!("`{name}` must be a number from 1 to {limit}; {default} is used");
                self.warnings.push(text);
                default
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Result<Option<TraceSettings>, String>, Vec<String>) {
        let mut warnings = Vec::new();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = TraceSettings::from_environment(lookup, &mut warnings);
        (settings, warnings)
    }

    fn settings(variables: &[(&str, &str)]) -> TraceSettings {
        let (settings, warnings) = read(variables);
        assert_eq!(warnings, Vec::<String>::new());
        settings.unwrap().unwrap()
    }

    #[test]
    fn nothing_is_traced_unless_configured() {
        for off in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "x")],
            &[
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"),
            ],
            &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SDK_DISABLED", "true")],
            &[("OTEL_TRACES_EXPORTER", "")],
        ] {
            assert!(read(off).0.unwrap().is_none(), "{off:?}");
        }
    }

    #[test]
    fn the_endpoint_is_found_as_the_standard_says() {
        for (variables, expected) in [
            (
                &[("OTEL_TRACES_EXPORTER", "otlp")][..],
                "http://localhost:4318/v1/traces",
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/x/")],
                "http://c:1/x/v1/traces",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
                    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d/y"),
                ],
                "http://d/y",
            ),
        ] {
            assert_eq!(settings(variables).endpoint.to_string(), expected);
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_without_showing_secrets() {
        for (name, value, expected) in [
            ("OTEL_TRACES_EXPORTER", "zipkin", "`otlp` or `none`"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "ftp://u:hunter2@c",
                "must be a URL",
            ),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318", "must be a URL"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2", "name=value"),
        ] {
            let mut variables = vec![(name, value)];
            if name != "OTEL_TRACES_EXPORTER" {
                variables.push(("OTEL_TRACES_EXPORTER", "otlp"));
            }
            let error = read(&variables).0.unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn samplers_headers_and_resources_are_read() {
        let found = settings(&[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20x, api-key=y",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment=staging,service.name=a",
            ),
            ("OTEL_SERVICE_NAME", "b"),
        ]);
        assert_eq!(
            found.sampler,
            Sampler {
                follows_parent: true,
                ratio: 0.25
            }
        );
        assert_eq!(found.headers["authorization"], "Bearer x");
        assert_eq!(found.headers["api-key"], "y");
        assert_eq!(found.timeout, Duration::from_millis(1500));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            found.resource,
            [
                pair("deployment.environment", "staging"),
                pair("service.name", "b")
            ]
        );
        assert!(!format!("{found:?}").contains("Bearer"));
    }

    #[test]
    fn what_is_wrong_in_details_is_told() {
        let (found, warnings) = read(&[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let found = found.unwrap().unwrap();
        assert_eq!((found.queue, found.sampler.ratio), (2048, 1.0));
    }
}
