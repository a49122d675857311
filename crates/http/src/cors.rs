//! Cross-origin requests (CORS): pages that may read answers in a browser, and the answers to preflights.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request};

/// Pages that may use the registry from a browser (`http.cors`, or several origins among `http.headers`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Allowed origins as browsers write them: `http://ui.example`.
    origins: Vec<HeaderValue>,
    is_for_all: bool,
    /// Headers that an allowed origin gets beside `Access-Control-Allow-Origin`.
    always: Vec<(HeaderName, HeaderValue)>,
    /// Headers that an allowed origin gets in answer to a preflight.
    preflight: Vec<(HeaderName, HeaderValue)>,
}

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an origin; write scheme and host as the browser does, such as `https://ui.example.com:8080`", .0.escape_debug())]
pub struct OriginError(String);

/// Methods that a user interface needs: it reads, and deletes. Browsers do not push.
const METHODS: &str = "GET, HEAD, DELETE, OPTIONS";
const REQUEST_HEADERS: &str = "Authorization, Accept, Cache-Control, Content-Type, If-None-Match, Range";
/// Headers that a page may read: without them it knows no digest, so it cannot delete, and no next page of a list.
const EXPOSED: &str = "Docker-Content-Digest, Docker-Distribution-Api-Version, Link, WWW-Authenticate";
/// Seconds for which browsers cache the answer to a preflight; no browser takes more.
const MAX_AGE: &str = "7200";

impl Cors {
    /// Headers that user interfaces at `origins` need; `*` is every origin. With `credentials` the browser asks its
    /// user for a password, and sends it.
    ///
    /// # Errors
    /// When one of `origins` is not an origin.
    pub fn new(origins: &[String], credentials: bool) -> Result<Self, OriginError> {
        let mut always = vec![(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        )];
        if credentials {
            let yes = HeaderValue::from_static("true");
            always.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes));
        }
        let preflight = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        Ok(Self {
            is_for_all: origins.iter().any(|origin| origin == "*"),
            origins: origins
                .iter()
                .filter(|origin| *origin != "*")
                .map(|origin| parse_origin(origin))
                .collect::<Result<_, _>>()?,
            always,
            preflight: preflight
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .to_vec(),
        })
    }

    /// Removes several `Access-Control-Allow-Origin` from `headers`: a browser accepts only one, the origin of its
    /// page, so each origin gets its own. The other headers stay as the operator wrote them.
    pub fn take_from(headers: &mut HeaderMap) -> Option<Self> {
        let origins = headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let origins: Vec<HeaderValue> = origins.iter().cloned().collect();
        if origins.len() < 2 {
            return None;
        }
        headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        Some(Self {
            is_for_all: origins.iter().any(|origin| origin == "*"),
            origins,
            always: Vec::new(),
            preflight: Vec::new(),
        })
    }

    /// Adds the CORS headers of the answer to `request`.
    pub fn add_to(&self, headers: &mut HeaderMap, request: &request::Parts) {
        if !self.is_for_all {
            // Else a cache would give one origin's answer to another.
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = request.headers.get(header::ORIGIN) else {
            return;
        };
        let allowed = if self.origins.contains(origin) {
            origin.clone()
        } else if self.is_for_all {
            HeaderValue::from_static("*")
        } else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let preflight = if is_preflight(request) {
            &*self.preflight
        } else {
            &[]
        };
        for (name, value) in self.always.iter().chain(preflight) {
            headers.insert(name, value.clone());
        }
    }
}

/// Whether the request is a browser's preflight. It carries no credentials, so it must be answered without them.
pub fn is_preflight(request: &request::Parts) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request
            .headers
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Parses `scheme://host[:port]`. A final slash, which browsers do not write, is removed.
fn parse_origin(text: &str) -> Result<HeaderValue, OriginError> {
    let error = || OriginError(text.to_owned());
    let origin = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let (scheme, host) = origin.split_once("://").ok_or_else(error)?;
    let is_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || !crate::location::is_host(host) {
        return Err(error());
    }
    HeaderValue::try_from(origin).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(cors: &Cors, method: Method, origin: Option<&str>) -> Vec<String> {
        let mut request = http::Request::builder().method(method);
        if let Some(origin) = origin {
            request = request
                .header("origin", origin)
                .header("access-control-request-method", "DELETE");
        }
        let mut headers = HeaderMap::new();
        cors.add_to(&mut headers, &request.body(()).unwrap().into_parts().0);
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().map(line).collect()
    }

    #[test]
    fn only_the_origins_that_were_named_are_allowed() {
        let origins = [
            "https://ui.example/".to_owned(),
            "http://b.example:8080".to_owned(),
        ];
        let cors = Cors::new(&origins, true).unwrap();
        let answer = answered(&cors, Method::GET, Some("https://ui.example"));
        assert!(answer.contains(&"access-control-allow-origin: https://ui.example".to_owned()));
        assert!(answer.contains(&"access-control-allow-credentials: true".to_owned()));
        assert!(answer.contains(&"vary: Origin".to_owned()));
        assert!(
            !answer
                .iter()
                .any(|line| line.starts_with("access-control-allow-methods"))
        );
        let preflight = answered(&cors, Method::OPTIONS, Some("http://b.example:8080"));
        assert!(preflight.contains(&format!("access-control-allow-methods: {METHODS}")));
        for other in [
            None,
            Some("http://ui.example"),
            Some("https://ui.example.evil"),
            Some("null"),
        ] {
            assert_eq!(answered(&cors, Method::GET, other), ["vary: Origin"], "{other:?}");
        }
    }

    #[test]
    fn every_origin_is_one_star() {
        let cors = Cors::new(&["*".to_owned()], false).unwrap();
        let answer = answered(&cors, Method::GET, Some("https://ui.example"));
        assert!(answer.contains(&"access-control-allow-origin: *".to_owned()));
        assert!(!answer.iter().any(|line| line.contains("credentials")));
    }

    #[test]
    fn an_origin_has_no_path() {
        for bad in [
            "",
            "ui.example",
            "https://",
            "https://a/b",
            "https://a b",
            "https://u@a",
        ] {
            assert!(Cors::new(&[bad.to_owned()], false).is_err(), "{bad}");
        }
    }
}
