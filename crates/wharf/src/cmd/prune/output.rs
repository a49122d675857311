//! Plans of retention for the eyes of operators: a line with a reason for every tag.

use jiff::Timestamp;
use wharf_client::printable;
use wharf_message::Span;
use wharf_server::admin::wire;

use super::Planned;
use crate::cmd::{
    deletion::{is_empty, kept},
    size::readable,
    table,
};

/// How many reasons are printed for a repository.
const STAYING: usize = 10;

/// What goes and stays in all repositories, and the sum.
pub(super) fn planned(planned: &Planned, now: bool) -> String {
    let mut text = String::new();
    for plan in &planned.plans {
        text += &one(plan);
    }
    let (mut repositories, mut tags, mut manifests) = (0, 0, 0);
    for plan in planned
        .plans
        .iter()
        .filter(|plan| !is_empty(plan) && plan.refused.is_none())
    {
        repositories += 1;
        tags += plan.tags_total;
        manifests += plan.manifests_total;
    }
    for plan in &planned.plans {
        if let Some(why) = &plan.refused {
            text += &format!(
                "nothing goes from {}: {}; `--force` allows all of them\n",
                printable(&plan.repository),
                printable(why)
            );
        }
    }
    for unread in &planned.unread {
        text += &format!(
            "nothing goes from {}: {}\n",
            printable(&unread.repository),
            printable(&unread.problem)
        );
    }
    text += &match repositories {
        0 => "nothing would go\n".to_owned(),
        _ => format!("{tags} tag(s) and {manifests} manifest(s) go from {repositories} repositories\n"),
    };
    text += &bytes(planned, now);
    text
}

fn bytes(planned: &Planned, now: bool) -> String {
    let wire::PlannedBytes { free, blobs, .. } = &planned.bytes;
    let mut text = String::new();
    if *blobs > 0 {
        let retention = planned
            .plans
            .iter()
            .map(|plan| plan.retention)
            .max()
            .unwrap_or_default();
        let when = match (now, retention) {
            (false, 1..) => format!(
                "when the trash lets go of them, after {}",
                Span::from(std::time::Duration::from_secs(retention))
            ),
            _ => "with the next collection".to_owned(),
        };
        text += &format!("{} in {blobs} blob(s) come free {when}\n", readable(*free));
    }
    text + &kept(&planned.bytes)
}

/// One repository. Where nothing goes, a line.
fn one(plan: &wire::Plan) -> String {
    let stay = plan.verdicts_total.saturating_sub(plan.tags_total);
    if is_empty(plan) && plan.refused.is_none() {
        return format!(
            "{}: nothing goes, {stay} tag(s) stay\n",
            printable(&plan.repository)
        );
    }
    let mut text = format!("{}:\n", printable(&plan.repository));
    if !plan.verdicts.is_empty() {
        let rows = plan.verdicts.iter().map(|verdict| {
            let fate = match verdict.goes {
                true => "goes",
                false => "stays",
            };
            [
                format!("  {}", verdict.tag),
                fate.to_owned(),
                age(&verdict.pushed),
                verdict.kind.clone(),
                short(&verdict.digest),
                printable(&verdict.why).into_owned(),
            ]
        });
        text += &table::aligned(["  TAG", "GOES", "PUSHED", "KIND", "DIGEST", "WHY"], rows);
        text.push('\n');
    }
    if plan.verdicts_total > plan.verdicts.len() {
        let more = plan.verdicts_total - plan.verdicts.len();
        text += &format!("  and {more} more tag(s)\n");
    }
    if plan.manifests_total > 0 {
        text += &format!(
            "  {} manifest(s) go with them or have no tag; {} come free\n",
            plan.manifests_total,
            readable(plan.bytes.free)
        );
    }
    if plan.history_total > 0 {
        text += &format!(
            "  {} entries go from the histories of tags that stay\n",
            plan.history_total
        );
    }
    for staying in plan.stays.iter().take(STAYING) {
        let digest = staying.digest.as_deref().map(short);
        let what = digest.or_else(|| staying.tag.clone()).unwrap_or_default();
        text += &format!("  stays: {} {}\n", printable(&what), printable(&staying.why));
    }
    let more = (plan.stays.len() + plan.more_stays).saturating_sub(STAYING);
    if more > 0 {
        text += &format!("  and {more} more that stay\n");
    }
    text
}

fn age(pushed: &str) -> String {
    let Ok(pushed) = pushed.parse::<Timestamp>() else {
        return pushed.to_owned();
    };
    let age = Timestamp::now().duration_since(pushed);
    format!(
        "{} ago",
        Span::from(std::time::Duration::try_from(age).unwrap_or_default())
    )
}

/// A digest as short as people tell digests apart.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// Repositories from which nothing went.
pub(super) fn refused(refused: &[wire::UnreadRepository]) -> String {
    let lines = refused.iter();
    let lines = lines.map(|refused| {
        format!(
            "refused: {}: {}\n",
            printable(&refused.repository),
            printable(&refused.problem)
        )
    });
    lines.collect()
}
