//! `/users`: the users in the password file.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use wharf_access::htpasswd::{Listing, User, Version};

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};
use crate::{
    admin::{DEFAULT_COST, Named, NewPassword, Removal, Removed, Users, UsersError, wire},
    words::Refused,
};

/// Number of users on a page if the client names none.
const PAGE: usize = 100;

/// Maximum number of users on a page.
pub(crate) const LARGEST_PAGE: usize = 1000;

pub(crate) fn list(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let users = users(&call)?;
        let file = shown(users.path());
        let listing = on_a_thread(move || users.list()).await?;
        let limit = call.query.number("limit").unwrap_or(PAGE);
        let start = match call.query.get("cursor") {
            Some(cursor) => start_of(cursor, &listing.version)?,
            None => 0,
        };
        let version = listing.version.clone();
        Answer::json(&page(file, listing, start, limit)).map(|answer| answer.with_version(version.as_str()))
    }
    .boxed()
}

pub(crate) fn add(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let wire::NewUser {
            name,
            password,
            hash,
            cost,
        } = call.json()?;
        let source = Source::of(password, hash, cost)?;
        let added = change(&call, ("added the user", name), move |users, name, expected| {
            users.add(name, source.password(), expected)
        });
        Ok(added.await?.with_status(StatusCode::CREATED))
    }
    .boxed()
}

pub(crate) fn set_password(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let wire::OtherPassword { password, hash, cost } = call.json()?;
        let source = Source::of(password, hash, cost)?;
        let name = call.query.required("name").to_owned();
        change(
            &call,
            ("changed the password of the user", name),
            move |users, name, expected| users.set_password(name, source.password(), expected),
        )
        .await
    }
    .boxed()
}

pub(crate) fn remove(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let users = users(&call)?;
        let file = shown(users.path());
        let (name, expected) = (call.query.required("name").to_owned(), call.expected_version()?);
        let _turn = call.shared.changing_users.lock().await;
        let removal = on_a_thread(move || Removal::of(&users, &name, expected.as_ref())).await?;
        let revoked = match &call.shared.admin.stored_tokens {
            Some(tokens) => tokens.revoke_of(call.query.required("name")).await,
            None => Ok(Vec::new()),
        };
        let Removed {
            name,
            was_user,
            tokens,
            version,
        } = removal.with_tokens(revoked)?;
        let mut deed = match was_user {
            true => format!("removed the user `{name}`"),
            false => format!("removed what was left of the user `{name}`"),
        };
        if !tokens.is_empty() {
            deed.extend([", and revoked its robot tokens: ", &tokens.join(", ")]);
        }
        let removed = wire::RemovedUser {
            name,
            file,
            was_user,
            tokens,
        };
        Ok(Answer::json(&removed)?
            .with_version(version.as_str())
            .with_deed(deed))
    }
    .boxed()
}

/// Makes a change of the password file for one user, after those that are under way.
async fn change(
    call: &Call,
    (deed, name): (&str, String),
    change: impl FnOnce(&Users, &str, Option<&Version>) -> Result<Named, UsersError> + Send + 'static,
) -> Result<Answer> {
    let users = users(call)?;
    let file = shown(users.path());
    let expected = call.expected_version()?;
    let _turn = call.shared.changing_users.lock().await;
    let (name, named) = on_a_thread(move || {
        let named = change(&users, &name, expected.as_ref())?;
        Ok((name, named))
    })
    .await?;
    let deed = format!("{deed} `{name}`");
    let changed = wire::ChangedUser {
        name,
        file,
        password: named.generated.map(wire::Secret),
    };
    Ok(Answer::json(&changed)?
        .with_version(named.version.as_str())
        .with_deed(deed))
}

fn users(call: &Call) -> Result<Users> {
    call.shared
        .admin
        .users
        .clone()
        .ok_or_else(|| Problem::new(Kind::NoUsers, Refused::NoUsers))
}

/// Runs work that blocks.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UsersError> + Send + 'static,
) -> Result<T> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work));
    Ok(done.await.map_err(Problem::failed)??)
}

/// The users from the place `start` on.
fn page(file: String, listing: Listing, start: usize, limit: usize) -> wire::UserPage {
    let end = start.saturating_add(limit);
    let next = (end < listing.users.len()).then(|| cursor(end, &listing.version));
    let users = listing.users.into_iter().skip(start).take(limit);
    wire::UserPage {
        file,
        users: users.map(described).collect(),
        next,
    }
}

fn described(User { name, cost, problem }: User) -> wire::User {
    wire::User { name, cost, problem }
}

/// The cursor of the page that begins at the place `start` of this version of the file.
fn cursor(start: usize, version: &Version) -> String {
    URL_SAFE_NO_PAD.encode(format!("{start} {}", version.as_str()))
}

/// Where the page of a cursor begins. Places are those of one version of the file.
fn start_of(cursor: &str, version: &Version) -> Result<usize> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (start, of) = text.split_once(' ')?;
        Some((start.parse().ok()?, Version::named(of)))
    };
    match read() {
        None => {
            let text = "`cursor` is not one that this server gave; begin without it";
            Err(Problem::new(Kind::BadQuery, text).with_field("cursor"))
        }
        Some((start, of)) if of == *version => Ok(start),
        Some(_) => {
            let text = "the password file has changed since the page before; begin at the first page again";
            Err(Problem::new(Kind::ListChanged, text))
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The password of a request, or what stands in its place.
enum Source {
    Generated(u8),
    Given(wire::Secret, u8),
    Hashed(wire::Secret),
}

impl Source {
    fn of(password: Option<wire::Secret>, hash: Option<wire::Secret>, cost: Option<u8>) -> Result<Self> {
        let wrong = |field: &str, text: &str| Err(Problem::new(Kind::BadBody, text).with_field(field));
        if cost.is_some_and(|cost| !(4..=17).contains(&cost)) {
            return wrong("cost", "`cost` must be a whole number from 4 to 17");
        }
        let made_at = cost.unwrap_or(DEFAULT_COST);
        match (password, hash) {
            (Some(_), Some(_)) => wrong(
                "hash",
                "`password` and `hash` exclude each other; send one of them",
            ),
            (None, Some(_)) if cost.is_some() => wrong(
                "cost",
                "`cost` is for a hash that is made here; a given `hash` has its own",
            ),
            (None, Some(hash)) => Ok(Self::Hashed(hash)),
            (Some(password), None) => Ok(Self::Given(password, made_at)),
            (None, None) => Ok(Self::Generated(made_at)),
        }
    }

    fn password(&self) -> NewPassword<'_> {
        match self {
            Self::Generated(cost) => NewPassword::Generated(*cost),
            Self::Given(password, cost) => NewPassword::Given(password.0.as_bytes(), *cost),
            Self::Hashed(hash) => NewPassword::Hashed(&hash.0),
        }
    }
}
