//! Disk use by repository.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{Disk, DiskRow, Said};

use super::{answer::Answer, call::Call, failure::Result};
use crate::admin::wire;

/// How many repositories the page has.
const REPOSITORIES: &str = "200";

/// The disk use of the largest repositories, and of all together.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let usage: wire::Usage = call.ask("showUsage", &[("limit", REPOSITORIES)]).await?;
        let page = call.page();
        let rows = usage.repositories.into_iter().map(|row| DiskRow {
            problem: match row.damaged {
                0 => Said::default(),
                damaged => Said::from(page.t("manifests.damaged").n(damaged as u64)),
            },
            name: row.name,
            size: row.size,
            unique: row.unique,
            shared: row.shared,
        });
        Ok(Answer::page(Disk {
            problem: page.said_if(usage.problem, &usage.problem_messages),
            size: usage.size,
            free: usage.free,
            capacity: usage.capacity,
            trash: usage.trash,
            total: usage.total as u64,
            rows: rows.collect(),
            page,
        }))
    }
    .boxed()
}
