//! The language, the colours, and the program in commands that are copied: cookies of the browser, which the server only reads.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{Lang, Theme};

use super::{
    answer::Answer,
    call::{CLIENTS, Call},
    cookies::{CHOICE, Cookie},
    failure::Result,
};

/// Remembers what was chosen, and leads back.
pub(super) fn set(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let mut answer = Answer::see(call.to);
        let lang = call.form.some("lang").and_then(Lang::parse).map(Lang::tag);
        let theme = call.form.some("theme").and_then(Theme::parse).map(Theme::word);
        let client = CLIENTS
            .into_iter()
            .find(|client| Some(*client) == call.form.some("client"));
        for (cookie, value) in [
            (Cookie::Lang, lang),
            (Cookie::Theme, theme),
            (Cookie::Client, client),
        ] {
            if let Some(value) = value {
                answer = answer.with_cookie(call.cookies.set(cookie, value, CHOICE));
            }
        }
        Ok(answer)
    }
    .boxed()
}
