//! Plans of deletions, and their outcomes, for the eyes of operators.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use wharf_client::printable;
use wharf_server::admin::wire;

use crate::cmd::{size::readable, table};

/// How many entries of a list are printed.
const LISTED: usize = 50;

/// How many earlier deletions are named.
const EARLIER: usize = 10;

/// Whether nothing would go.
pub(in crate::cmd) fn is_empty(plan: &wire::Plan) -> bool {
    plan.tags_total + plan.manifests_total + plan.layers + plan.history_total == 0
}

/// What a plan removes, and what stays.
pub(super) fn plan(plan: &wire::Plan, now: bool) -> String {
    let mut text = String::new();
    match is_empty(plan) {
        true => text += &format!("nothing goes from {}\n", plan.repository),
        false => text += &format!("from {} go:\n", plan.repository),
    }
    if !plan.tags.is_empty() {
        let rows = plan.tags.iter().take(LISTED);
        let rows = rows.map(|tag| [format!("  {}", tag.tag), tag.digest.clone()]);
        text += &(table::aligned(["  TAG", "DIGEST"], rows) + "\n");
        text += &more(plan.tags_total, "tag(s)");
    }
    for line in summary(plan, now) {
        text += &format!("  {line}\n");
    }
    if !plan.stays.is_empty() {
        text += "stays:\n";
        for staying in plan.stays.iter().take(LISTED) {
            text += &format!("  {}\n", stays(staying));
        }
        text += &more(plan.stays.len() + plan.more_stays, "that stay");
    }
    if !is_empty(plan) {
        text += &bytes(plan, now);
    }
    text
}

/// The line for what is left out of a list.
fn more(total: usize, what: &str) -> String {
    match total.saturating_sub(LISTED) {
        0 => String::new(),
        more => format!("  and {more} more {what}; `--json` shows a thousand\n"),
    }
}

fn summary(plan: &wire::Plan, now: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.manifests_total > 0 {
        let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
        for manifest in &plan.manifests {
            *roles.entry(&manifest.role).or_default() += 1;
        }
        let roles: Vec<String> = roles
            .iter()
            .map(|(role, count)| format!("{count} {role}"))
            .collect();
        let roles = match plan.manifests.len() == plan.manifests_total {
            true => format!(": {}", roles.join(", ")),
            false => String::new(),
        };
        lines.push(format!("{} manifest(s){roles}", plan.manifests_total));
    }
    if plan.layers > 0 {
        lines.push(format!("{} link(s) of layers", plan.layers));
    }
    if plan.history_total > 0 {
        let history = plan.history_total;
        lines.push(format!("{history} entries in the histories of tags that stay"));
    }
    if now && plan.earlier_total > 0 {
        let ids: Vec<&str> = plan.earlier.iter().take(EARLIER).map(String::as_str).collect();
        let more = match plan.earlier_total - ids.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!(
            "{} earlier deletion(s) in the trash, which cannot be restored any more: {}{more}",
            plan.earlier_total,
            ids.join(", ")
        ));
    }
    lines
}

fn stays(staying: &wire::Staying) -> String {
    let what = staying.tag.as_deref().or(staying.digest.as_deref());
    match what {
        Some(what) => format!("{what}: {}", printable(&staying.why)),
        None => printable(&staying.why).into_owned(),
    }
}

fn bytes(plan: &wire::Plan, now: bool) -> String {
    let wire::PlannedBytes { free, blobs, .. } = &plan.bytes;
    let free = format!("{} in {blobs} blob(s)", readable(*free));
    let text = match (*blobs, now, plan.retention) {
        (0, _, _) => "nothing comes free\n".to_owned(),
        (_, false, 1..) => format!(
            "{free} come free when the trash lets go of it on {}, or now with `--now`\n",
            day_after(plan.retention)
        ),
        _ => format!("{free} come free with the next collection; nothing can be restored\n"),
    };
    text + &kept(&plan.bytes)
}

/// The bytes that stay, with the reasons, and why more may.
pub(in crate::cmd) fn kept(bytes: &wire::PlannedBytes) -> String {
    let wire::PlannedBytes {
        shared,
        shared_with,
        in_trash,
        uncertain,
        ..
    } = bytes;
    let mut text = String::new();
    if *shared > 0 {
        let with = match shared_with.as_slice() {
            [] => "with other images".to_owned(),
            names => format!("with {}", names.join(", ")),
        };
        _ = writeln!(text, "{} stay, shared {with}", readable(*shared));
    }
    if *in_trash > 0 {
        _ = writeln!(
            text,
            "{} stay, which other deletions in the trash need",
            readable(*in_trash)
        );
    }
    if let Some(why) = uncertain {
        _ = writeln!(
            text,
            "less may come free, because not all of the store can be read: {}",
            printable(why)
        );
    }
    text
}

/// The day that begins or ends so many seconds from now.
fn day_after(seconds: u64) -> String {
    let then = SystemTime::now().checked_add(Duration::from_secs(seconds));
    let then = then
        .and_then(|then| Timestamp::try_from(then).ok())
        .unwrap_or_default();
    then.strftime("%Y-%m-%d").to_string()
}

/// What went, and the way back, with the `option` that names the registry.
pub(in crate::cmd) fn applied(applied: &wire::Applied, option: &str) -> String {
    let mut text = format!(
        "deleted from {}: {} tag(s), {} manifest(s), {} link(s) of layers\n",
        applied.repository, applied.tags_total, applied.manifests_total, applied.layers
    );
    if applied.earlier > 0 {
        text += &format!(
            "gave up {} earlier deletion(s) of {}\n",
            applied.earlier, applied.repository
        );
    }
    for staying in applied.stayed.iter().take(LISTED) {
        text += &format!("stayed: {}\n", stays(staying));
    }
    if let (Some(id), Some(expires)) = (&applied.deletion, &applied.expires) {
        text += &format!("`wharf trash restore {id}{option}` takes it back until {expires}\n");
    }
    text
}
