//! A page that cannot be shown, or a form that is not carried out: the reason, and what helps.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use wharf_message::{ENGLISH, Message};
use wharf_pages::{ErrorPage, Lang, Link, Page, Said};
use wharf_registry::Error as RegistryError;

use crate::{
    api::problem::{Kind, Problem},
    words::Refused,
};

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// A reason for an error page. Boxed, so that successful results stay small.
#[derive(Debug)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    problem: Problem,
    /// Names that may have been meant.
    similar: Vec<Link>,
}

impl Failure {
    /// There is nothing at this path.
    pub(crate) fn no_page() -> Self {
        Problem::new(Kind::UnknownPath, Refused::NoPage).into()
    }

    /// There is something at this path, for other methods.
    pub(super) fn method(allow: &'static str) -> Self {
        let problem = Problem::new(Kind::MethodNotAllowed, Refused::Method { allow });
        problem
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
            .into()
    }

    /// The page is for accounts.
    pub(crate) fn needs_account() -> Self {
        Problem::new(Kind::NotAuthenticated, Refused::NeedsAccount).into()
    }

    /// The page is for administrators.
    pub(crate) fn needs_admin() -> Self {
        Problem::new(Kind::Forbidden, Refused::NeedsAdmin)
            .with_right("admin")
            .into()
    }

    /// The page changes nothing.
    pub(super) fn page_read_only() -> Self {
        Problem::new(Kind::Forbidden, Refused::PageOnlyShows).into()
    }

    /// Names images that may have been meant.
    pub(crate) fn with_similar(mut self, similar: Vec<Link>) -> Self {
        self.0.similar = similar;
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.problem.kind()
    }

    /// What was wrong, and what to do, as the services say it. Where that exists in English only, the kind of failure stands before it in
    /// the language of the page.
    pub(crate) fn said(&self, page: &Page) -> Said {
        let (kind, detail) = self.told(page);
        match kind.is_empty() {
            true => detail,
            false => Said::joined(page.lang, [kind, detail]),
        }
    }

    /// The kind of failure in the language of the page, where more is known in English only; and what is known.
    fn told(&self, page: &Page) -> (Said, Said) {
        let detail = self.0.problem.detail();
        let is_english = detail.messages().iter().all(|message| message.code == ENGLISH);
        let kind = match is_english && page.lang != Lang::En {
            true => page.said(self.kind().title(), &[Message::new(self.kind().code())]),
            false => Said::default(),
        };
        (kind, page.said(detail.as_str(), detail.messages()))
    }

    /// The field that was wrong, as the API names it.
    pub(crate) fn field(&self) -> Option<&str> {
        self.0.problem.field()
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind().status()
    }

    /// Logs a failure of this server; the others are those of the client, and it is told.
    pub(super) fn log(&self, path: &str) {
        if let Some(cause) = self.0.problem.cause() {
            tracing::error!(problem = ?self.kind(), path, cause, "a page failed");
        } else {
            tracing::debug!(problem = ?self.kind(), path, "a page was refused");
        }
    }

    /// The headers that go with it.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.0.problem.headers().clone();
        // A browser would ask for a password in a window of its own, which no page can close again.
        if headers.remove(header::WWW_AUTHENTICATE).is_some() || self.kind() == Kind::NotAuthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Form"));
        }
        headers
    }

    /// The page that says it.
    pub(super) fn view(&self, page: Page, request: String) -> ErrorPage {
        let status = self.status().as_u16();
        let group = group(status);
        let title = page.t(format!("error.{group}"));
        let text = page.t(format!("error.{group}.hint"));
        let (kind, detail) = self.told(&page);
        ErrorPage {
            status,
            title,
            text,
            kind,
            detail,
            similar: self.0.similar.clone(),
            signs_in: page.signs_in
                && matches!(
                    self.kind(),
                    Kind::Forbidden | Kind::UnknownImage | Kind::NotAuthenticated
                ),
            retries: matches!(status, 408 | 429 | 500..),
            request_id: request,
            page,
        }
    }
}

/// The text of the catalogue for a status.
fn group(status: u16) -> Cow<'static, str> {
    match status {
        401 => "403".into(),
        400 | 403 | 404 | 405 | 409 | 412 | 413 | 429 | 503 => status.to_string().into(),
        408 | 507 => "503".into(),
        ..500 => "400".into(),
        _ => "500".into(),
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Parts {
            problem,
            similar: Vec::new(),
        }))
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Problem::from(error).into()
    }
}
