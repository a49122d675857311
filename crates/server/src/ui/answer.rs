//! An answer, before it is a response: a page that is still to be written, a redirect, or data.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use wharf_budget::Permit;
use wharf_pages::{NotRendered, View};

use super::failure::Result;
use crate::{api::problem::Problem, body::Content};

/// Writes a page.
type Render = Box<dyn FnOnce() -> Result<String, NotRendered> + Send>;

/// The answer of a handler.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The permit for what it takes in memory until it is written.
    pub(super) charge: Option<Permit>,
}

/// What an answer is made of.
pub(super) enum Body {
    /// A page, which is written and compressed on a thread of its own.
    Page(Render),
    /// Data, which is no page wherever it is opened.
    Data(Content),
}

impl Answer {
    /// A page.
    pub(crate) fn page(view: impl View + Send + 'static) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Body::Page(Box::new(move || view.html())),
            charge: None,
        }
    }

    /// A redirect to a page of ours, which the browser gets with GET whatever the request was.
    pub(crate) fn see(url: &str) -> Self {
        let answer = Self::data(StatusCode::SEE_OTHER, Content::Empty);
        // An address that is no header value was not made here; the root of the host is a safe place.
        let location = HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("/"));
        answer.with(header::LOCATION, location)
    }

    /// JSON for our own scripts.
    ///
    /// # Errors
    ///
    /// When `value` has no form in JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(Problem::failed)?;
        let answer = Self::data(StatusCode::OK, Content::Full(bytes.into()));
        Ok(answer.with(header::CONTENT_TYPE, HeaderValue::from_static("application/json")))
    }

    /// A file that the browser saves, and never shows.
    pub(crate) fn download(name: &str, content: Content) -> Self {
        let is_safe = |character: &char| character.is_ascii_alphanumeric() || "-_.".contains(*character);
        let name: String = name.chars().filter(is_safe).take(100).collect();
        let name = name.trim_start_matches('.');
        let name = if name.is_empty() { "file" } else { name };
        let answer = Self::data(StatusCode::OK, content);
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
        answer
            .with(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )
            .with(
                header::CONTENT_DISPOSITION,
                disposition.unwrap_or(HeaderValue::from_static("attachment")),
            )
    }

    /// Bytes in memory that the browser saves.
    pub(crate) fn download_bytes(name: &str, bytes: impl Into<Bytes>) -> Self {
        Self::download(name, Content::Full(bytes.into()))
    }

    fn data(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Body::Data(content),
            charge: None,
        }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Keeps the permit for the form that is answered until the answer is written.
    pub(super) fn holding(mut self, charge: Option<Permit>) -> Self {
        self.charge = charge;
        self
    }

    /// Adds a header beside those of the same name.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets or removes a cookie.
    pub(super) fn with_cookie(self, header: Option<HeaderValue>) -> Self {
        match header {
            Some(value) => self.with(header::SET_COOKIE, value),
            None => self,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page(_) => "Page",
            Self::Data(_) => "Data",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_download_is_made_of_safe_characters() {
        for (name, expected) in [
            ("chart-1.0.tgz", "chart-1.0.tgz"),
            ("../../etc/passwd", "etcpasswd"),
            ("a\"; filename=\"b.html", "afilenameb.html"),
            ("\r\nX: y", "Xy"),
            (".htaccess", "htaccess"),
            ("", "file"),
            ("日本", "file"),
            (&"a".repeat(1000), &"a".repeat(100)),
        ] {
            let answer = Answer::download_bytes(name, Bytes::new());
            let value = answer.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
            assert_eq!(value, format!("attachment; filename=\"{expected}\""));
        }
    }
}
