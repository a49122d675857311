//! `/activity`: the log of who did what, all of it for administrators, otherwise what the caller did.

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use tokio::runtime::Handle;
use wharf_access::rules::Pattern;
use wharf_activity::{Action, Filter};

use super::{
    answer::Answer,
    call::Call,
    caller::Right,
    problem::{Kind, Problem, Result},
    query::Query,
};
use crate::admin::ActivityError;

/// Number of entries on a page if the client names none.
const PAGE: usize = 100;

pub(crate) fn list(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let Some(log) = call.shared.admin.activity.clone() else {
            return Err(Problem::new(
                Kind::NoActivity,
                "this server keeps no activity log; take `activity.disabled` from its configuration, and restart it",
            ));
        };
        let filter = filter(&call)?;
        let limit = call.query.number("limit").unwrap_or(PAGE);
        let cursor = call.query.get("cursor").map(str::to_owned);
        let _turn = call.shared.reading_activity.lock().await;
        // A large part of the log may have to be parsed.
        let runtime = Handle::current();
        let read = move || runtime.block_on(log.page(filter, limit, cursor.as_deref()));
        let read = tokio::task::spawn_blocking(read).await.map_err(Problem::failed)?;
        match read {
            Ok(page) => Answer::json(&page),
            Err(error @ ActivityError::Cursor) => {
                Err(Problem::new(Kind::BadQuery, error.to_string()).with_field("cursor"))
            }
            Err(error @ ActivityError::Store(_)) => Err(Problem::failed(error)),
        }
    }
    .boxed()
}

/// The entries that the caller wants, and may see.
fn filter(call: &Call) -> Result<Filter> {
    let query = &call.query;
    let account = match (query.get("account"), call.caller.account()) {
        (wanted, _) if call.caller.is_admin() => wanted,
        (None, own) => Some(own.unwrap_or_default()),
        (Some(wanted), own) if own == Some(wanted) => own,
        (Some(_), _) => {
            let text =
                "the activity of other accounts needs the right `admin`; leave `account` out for your own";
            return Err(Problem::new(Kind::Forbidden, text).with_right(Right::Admin.name()));
        }
    };
    let action = |name| Action::ALL.into_iter().find(|action| action.as_str() == name);
    Ok(Filter {
        repository: repository(query)?,
        account: account.map(str::to_owned),
        action: query.get("action").and_then(action),
        since: time(query, "since"),
        until: time(query, "until"),
    })
}

fn repository(query: &Query) -> Result<Option<wharf_activity::WantsRepository>> {
    let Some(text) = query.get("repository") else {
        return Ok(None);
    };
    match Pattern::parse(text) {
        Ok(pattern) => Ok(Some(Box::new(move |name: &str| pattern.matches(name, None)))),
        Err(error) => {
            let text = format!("`repository` takes a name, or a pattern such as `team/**`: {error}");
            Err(Problem::new(Kind::BadQuery, text).with_field("repository"))
        }
    }
}

/// A time, which was checked before.
fn time(query: &Query, name: &str) -> Option<Timestamp> {
    query.get(name)?.parse().ok()
}
