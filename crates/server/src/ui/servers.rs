//! This server, the replicas beside it, and what runs beside requests.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{FailingCheck, Line, Page, Replica, Said, Servers, Time, Tone, Worker};

use super::{answer::Answer, call::Call, failure::Result};
use crate::{admin::wire, api::problem::Problem};

/// Health, version, replicas and workers.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let server: wire::Server = call.ask("showServer", &[]).await?;
        let started =
            Time::parse(&server.started).ok_or_else(|| Problem::failed("a start without a time"))?;
        let replicas = server.replicas.unwrap_or_default();
        let page = call.page();
        let replicas = replicas.into_iter().map(|replica| Replica {
            tone: match replica.state.as_str() {
                "ready" => Tone::Good,
                _ => Tone::Info,
            },
            own: replica.own,
            differs: replica.version != server.version,
            host: Line::from(replica.host),
            state: replica.state,
            leases: Line::from(work(&page, &replica.leases)),
            version: Line::from(replica.version),
            address: Line::from(replica.address),
            started: Time::parse(&replica.started),
        });
        let workers = server.workers.into_iter().map(|worker| Worker {
            tone: match worker.state.as_str() {
                "failed" => Tone::Bad,
                "busy" | "throttled" => Tone::Info,
                _ => Tone::Plain,
            },
            name: Line::from(worker.name),
            state: worker.state,
            detail: Line::from(worker.detail),
            error: Said::from(Line::from(worker.error)),
        });
        let failing = server.failing.into_iter().map(|(name, reason)| FailingCheck {
            name: Line::from(name),
            reason: Said::from(Line::from(reason)),
        });
        Ok(Answer::page(Servers {
            failing: failing.collect(),
            commit: format!("{} · {}", server.commit, server.build),
            engine: server.engine,
            started,
            replicas: replicas.collect(),
            workers: workers.collect(),
            page,
        }))
    }
    .boxed()
}

/// The names of what a server does for all of them.
fn work(page: &Page, leases: &[String]) -> String {
    let names = leases.iter().map(|lease| match lease.as_str() {
        "scrub" => page.t("scrub").attr(),
        "retention" => page.t("retention.title").attr(),
        other => other.to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}
