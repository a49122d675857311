//! Finds out what a store honours, and what the policy of the bucket allows, by trying it on objects of its own.
//!
//! Nothing else is written or removed. What a probe leaves when its process dies is removed by another one later.

mod bucket;
mod conditions;
mod contents;
mod leftovers;
mod multiparts;
mod report;
mod signed;
mod tries;

#[cfg(test)]
mod tests;

pub(super) use self::{conditions::Conditions, tries::Tries};
pub use self::{
    report::{Break, Finding, Mode, Report, Severity},
    tries::Operation,
};

use std::{sync::Arc, time::Duration};

use object_store::aws::AmazonS3;
use tokio::time;

use self::{
    contents::Contents,
    multiparts::MultipartUploads,
    report::{Place, about_policy, about_store},
    signed::Expiring,
};
use super::{super::store::Abilities, requests::Requests};

/// Longest time of a probe, and of the removal of its objects.
const LONGEST: Duration = Duration::from_secs(60);
const LONGEST_CLEAN_UP: Duration = Duration::from_secs(15);

/// What is probed.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) requests: &'a Arc<Requests>,
    pub(super) signer: &'a AmazonS3,
    pub(super) bucket: &'a str,
    /// Beginning of all keys, empty or with a slash at its end
    pub(super) root: &'a str,
    /// Directory of all probes
    pub(super) probes: &'a str,
}

/// Tries everything. `asked` is what the store does with conditions when one request follows the other.
///
/// # Errors
///
/// When the store does not answer, or not in time.
pub(super) async fn probe(subject: &Subject<'_>, tries: &Tries, asked: Conditions) -> Result<Report, String> {
    let probed = time::timeout(LONGEST, try_all(subject, tries, asked)).await;
    // What takes longer is left to a later probe.
    _ = time::timeout(LONGEST_CLEAN_UP, tries.clean_up()).await;
    let mut report = probed.map_err(|_elapsed| format!("it took longer than {} s", LONGEST.as_secs()))??;
    let place = Place {
        bucket: subject.bucket,
        region: &subject.requests.region,
        root: subject.root,
    };
    for (operation, answer) in tries.denied() {
        report.missing.push(operation);
        report.findings.push(about_policy(operation, &answer, place));
    }
    Ok(report)
}

/// Looks at the settings of the bucket only, and writes nothing.
pub(super) async fn look(subject: &Subject<'_>) -> Vec<Finding> {
    let tries = Tries::idle(subject.requests, subject.probes);
    bucket::look(&tries, &tree(subject)).await
}

async fn try_all(subject: &Subject<'_>, tries: &Tries, asked: Conditions) -> Result<Report, String> {
    let expiring = Expiring::sign(tries, subject.signer).await?;
    leftovers::remove(tries, subject.probes).await?;
    let conditions = asked.race(tries).await?;
    let contents = Contents::probe(tries).await?;
    let multiparts = MultipartUploads::probe(tries, subject.bucket).await?;
    let signs = signed::reads(tries, subject.signer).await?;
    let settings = bucket::look(tries, &tree(subject)).await;
    let refuses_expired = match expiring {
        Some(expiring) => expiring.refuses(tries).await?,
        None => None,
    };
    let tested = [
        (multiparts.checks_parts, Break::WrongPart),
        (refuses_expired, Break::ExpiredUrl),
        (contents.is_consistent, Break::Stale),
        (contents.sorts_lists, Break::Unsorted),
    ];
    let broken = tested.into_iter().filter(|(is_kept, _)| *is_kept == Some(false));
    let breaks: Vec<Break> = broken.map(|(_, broken)| broken).collect();
    let abilities = Abilities {
        creates: conditions.creates,
        cas: conditions.cas,
        delete_if_match: contents.delete_if_match,
        e_tag_is_md5: contents.e_tag_is_md5,
        checks_parts: multiparts.checks_parts == Some(true),
        refuses_expired: refuses_expired == Some(true),
        is_consistent: contents.is_consistent == Some(true),
        sorts_lists: contents.sorts_lists == Some(true),
        copies_parts: multiparts.copies_parts,
        lists_multiparts: multiparts.lists_multiparts,
        signs,
        skew: tries.skew(),
    };
    let mut findings = Vec::new();
    // Without the right to write nothing is known about the store.
    if tries.denied().is_empty() {
        findings.extend(about_store(&abilities, &breaks));
    }
    findings.extend(settings);
    Ok(Report {
        abilities,
        missing: Vec::new(),
        breaks,
        findings,
    })
}

/// Beginning of all keys of images.
fn tree(subject: &Subject<'_>) -> String {
    format!("{}docker/registry/v2/", subject.root)
}
