//! The form of a route: what the [table](super::routes) is made of.

use std::fmt;

use futures_util::future::BoxFuture;

use super::{answer::Answer, call::Call, failure::Result};

/// Answers a request.
pub(super) type Handler = for<'a> fn(Call<'a>) -> BoxFuture<'a, Result<Answer>>;

/// The placeholder that stands for one component.
const ONE: &str = "id";

/// A page, or a form that is sent.
pub(super) struct Route {
    /// Path below the root of the pages. `{id}` stands for one component, any other `{…}` for anything, slashes included.
    pub(super) path: &'static str,
    /// The entry of the navigation to which it belongs.
    pub(super) nav: &'static str,
    pub(super) handler: Handler,
    /// Whether it shows what any client may pull. Where users do not log in, the others answer this machine alone.
    pub(super) is_open: bool,
    /// `Some`: it is a form that is sent by POST; otherwise a page, asked for by GET.
    pub(super) form: Option<Form>,
}

/// A form.
pub(super) struct Form {
    pub(super) sender: Sender,
    /// Fields that are kept when the form is sent in a session that has ended: what was chosen and written, no passwords, no secrets.
    pub(super) kept: &'static [&'static str],
    /// Where the form stands.
    pub(super) stands: Stands,
}

/// The browsers from which a form is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Every browser, with the first lock alone: it changes cookies of its own.
    Looking,
    /// Every browser, with both locks.
    EveryBrowser,
    /// An account, with both locks.
    Account,
    /// The same, also where pages change nothing: it signs browsers out.
    Leaving,
}

/// The page on which a form stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// At the path to which it is sent.
    Here,
    /// One component above.
    Above,
    /// At this path.
    At(&'static str),
}

impl Sender {
    /// Whether it must be an account.
    pub(super) fn is_account(self) -> bool {
        matches!(self, Self::Account | Self::Leaving)
    }
}

impl Route {
    /// What stands in `path` in the place of the `{…}`; `None`: it is not this route.
    pub(super) fn fits<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((start, end)) = self.path.split_once('{') else {
            return (path == self.path).then_some("");
        };
        let (name, end) = end.split_once('}').unwrap_or_default();
        let rest = path.strip_prefix(start)?.strip_suffix(end)?;
        let is_one = !rest.is_empty() && (name != ONE || !rest.contains('/'));
        is_one.then_some(rest)
    }

    /// The path of the page on which the form stands that was sent to `path`.
    pub(super) fn page_of<'p>(&self, path: &'p str) -> &'p str {
        match self.form.as_ref().map(|form| form.stands) {
            Some(Stands::Above) => path.rsplit_once('/').map_or(path, |(above, _)| above),
            Some(Stands::At(place)) => place,
            Some(Stands::Here) | None => path,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.form.is_some() { "POST" } else { "GET" };
        write!(f, "{method} {}", self.path)
    }
}
