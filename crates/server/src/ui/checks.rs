//! Integrity: what is damaged, the background check, and full checks.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{CheckRun, Checks, Finding, FullCheck, Line, Link, Page, Said, Scrub, Time, Tone};

use super::{answer::Answer, call::Call, failure::Result};
use crate::admin::wire;

/// What is known to be damaged, and the checks that find it.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let shown: wire::Checks = call.ask("showChecks", &[]).await?;
        let page = call.page();
        let starts = shown.on_demand && shown.running.is_none() && call.offers_changes();
        let findings = shown
            .findings
            .iter()
            .map(|finding| shown_finding(call, &page, finding))
            .collect();
        Ok(Answer::page(Checks {
            scrub: shown_scrub(&page, shown.scrub.as_ref()),
            checks: starts && call.visitor.caller.is_admin(),
            waits_for: shown.waits_for.as_ref().map(|other| Line::from(&other.host)),
            running: shown.running.as_ref().map(|run| CheckRun {
                done: u64::from(run.done),
                of: THOUSAND,
                read: page.size(run.bytes),
                began: Time::parse(&run.started),
            }),
            fsck: last(&page, &shown),
            findings,
            page,
        }))
    }
    .boxed()
}

/// Begins a full check.
pub(super) fn start(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let _asked: wire::RequestedCheck = call.tell("check", &[], &wire::NewCheck::default()).await?;
        Ok(Answer::see(&call.url("/checks")))
    }
    .boxed()
}

/// Progress is counted in these.
const THOUSAND: u64 = 1000;

fn shown_scrub(page: &Page, scrub: Option<&wire::ScrubState>) -> Scrub {
    let Some(scrub) = scrub else {
        return Scrub {
            off: true,
            ..Scrub::default()
        };
    };
    let round = scrub.round.as_ref();
    let between = if scrub.ended.is_some() { THOUSAND } else { 0 };
    Scrub {
        damaged: scrub.damaged,
        off: false,
        done: round.map_or(between, |round| u64::from(round.done)),
        of: THOUSAND,
        read: page.size(round.map_or(scrub.bytes, |round| round.bytes)),
        began: round.and_then(|round| Time::parse(&round.began)),
        last: scrub.ended.as_deref().and_then(Time::parse),
        rate: scrub
            .rate
            .map(|rate| format!("{}/s", page.size(rate)))
            .unwrap_or_default(),
    }
}

/// The last check of this server, or else the one that the store has a note of.
fn last(page: &Page, shown: &wire::Checks) -> Option<FullCheck> {
    let text = |blobs: u64, bytes: u64, broken: Option<u64>| {
        let sum = page.t("fsck.sum").n(blobs).arg("size", page.size(bytes));
        let broken = broken.map(|broken| page.t("fsck.broken").n(broken));
        let parts = [Some(sum), broken].into_iter().flatten();
        Said::joined(page.lang, parts.map(Said::from))
    };
    if let Some(last) = &shown.last {
        return Some(FullCheck {
            ended: Time::parse(&last.ended)?,
            sum: match &last.error {
                Some(error) => page.said(error, &last.error_messages),
                None => text(last.blobs, last.bytes, Some(last.broken)),
            },
        });
    }
    let recorded = shown.recorded.as_ref()?;
    Some(FullCheck {
        ended: Time::parse(&recorded.ended)?,
        sum: text(recorded.blobs, recorded.bytes, recorded.broken),
    })
}

fn shown_finding(call: Call<'_>, page: &Page, finding: &wire::CheckFinding) -> Finding {
    let images = finding.images.iter().map(|image| {
        let path = match (&image.tag, &image.digest) {
            (Some(tag), _) => format!("{}:{tag}", image.repository),
            (None, Some(digest)) => format!("{}@{digest}", image.repository),
            (None, None) => image.repository.clone(),
        };
        let label = match &image.platform {
            Some(platform) => format!("{path} ({platform})"),
            None => path.clone(),
        };
        Link {
            href: call.url(&format!("/image/{path}")),
            label: Line::from(label),
        }
    });
    Finding {
        tone: match finding.severity.as_str() {
            "broken" => Tone::Bad,
            "unknown" => Tone::Warn,
            _ => Tone::Plain,
        },
        severity: finding.severity.clone(),
        text: page.said(&finding.text, &finding.text_messages),
        hint: page.said(&finding.remedy, &finding.remedy_messages),
        images: images.collect(),
        more: finding.more_images,
    }
}
