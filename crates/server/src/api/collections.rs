//! `/collections`: collections of garbage.

use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use wharf_oci::Digest;

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};
use crate::{admin::Collections, words::Refused};

pub(crate) fn show(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Answer::json(&collections(&call)?.show()) }.boxed()
}

pub(crate) fn ask(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let asked = collections(&call)?.ask();
        let deed = format!("asked for collection {}", asked.number);
        let answer = Answer::json(&asked)?.with_status(StatusCode::ACCEPTED);
        Ok(answer.with_deed(deed))
    }
    .boxed()
}

pub(crate) fn why(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let collections = collections(&call)?;
        let digest = call.query.required("digest");
        let digest: Digest = digest.parse().map_err(|error| {
            Problem::new(Kind::BadQuery, format!("`digest`: {error}")).with_field("digest")
        })?;
        Answer::json(&collections.why(&digest).await?)
    }
    .boxed()
}

fn collections(call: &Call) -> Result<&Collections> {
    call.shared
        .admin
        .collections
        .as_ref()
        .ok_or_else(|| Problem::new(Kind::NoCollector, Refused::NoCollector))
}
