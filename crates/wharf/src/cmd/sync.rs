//! `wharf sync`: a file lists what to mirror; the command says what differs, and with `--apply` makes it equal.

mod choice;
mod file;
mod output;
mod pairs;
mod plan;
mod removal;
mod side;

use std::process::ExitCode;

use anyhow::Context as _;
use wharf_client::transfer;
use wharf_oci::Reference;

use self::{
    output::{Act, Row},
    plan::{Copy, Plan},
    side::Clients,
};
use super::transfer::{Shown, run as run_interruptibly, tell_left_out};
use crate::cli::Sync;

/// Exit status when something would be done.
const WOULD_CHANGE: u8 = 10;

pub(crate) fn run(arguments: &Sync) -> anyhow::Result<ExitCode> {
    let path = &arguments.file;
    #[expect(clippy::disallowed_methods, reason = "the list is not in the store")]
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let entries = file::read(&text).map_err(|problems| {
        let lines = problems
            .iter()
            .map(|problem| format!("`{}` {problem}", path.display()));
        anyhow::anyhow!(lines.collect::<Vec<_>>().join("\n"))
    })?;
    let mut status = ExitCode::SUCCESS;
    run_interruptibly(async {
        status = sync(arguments, &entries).await?;
        Ok(())
    })?;
    Ok(status)
}

async fn sync(arguments: &Sync, entries: &[file::Entry]) -> anyhow::Result<ExitCode> {
    let shown = Shown::new(arguments.how.quiet);
    let clients = Clients::connect(entries, &arguments.connection).await;
    let jobs = usize::from(arguments.how.jobs);
    let mut plan = Plan::make(entries, &clients, jobs, arguments.delete).await;
    if arguments.apply {
        copy(&mut plan, &shown).await;
    }
    let how = removal::How {
        force: arguments.force,
        apply: arguments.apply,
        jobs,
    };
    let plans = match arguments.delete {
        true => removal::remove(&mut plan, &how).await,
        false => Vec::new(),
    };
    output::print_all(&plan.rows, &plans, arguments.output(), arguments.apply)?;
    let summary = output::summary(&plan.rows, arguments.apply);
    shown.say(&summary);
    let has = |act: Act| plan.rows.iter().any(|row| row.act == act);
    Ok(match has(Act::Failed) || has(Act::Refused) {
        true => ExitCode::FAILURE,
        false if !arguments.apply && plan.rows.iter().any(Row::is_change) => ExitCode::from(WOULD_CHANGE),
        false => ExitCode::SUCCESS,
    })
}

/// Carries out the copies of the plan, one image after the other. What fails is told, and the rest goes on.
async fn copy(plan: &mut Plan, shown: &Shown) {
    for copy in std::mem::take(&mut plan.copies) {
        let Copy {
            row,
            source,
            target,
            tag,
            original,
            settings,
        } = copy;
        // What was planned is copied, also when the tag of the source has moved since.
        let what = (&Reference::Digest(original), Some(&tag));
        let row = &mut plan.rows[row];
        match transfer::image(&source, &target, what, &settings, shown).await {
            Ok(moved) => {
                row.done = true;
                tell_left_out(shown, &moved);
                for kept in &moved.kept {
                    shown.warn(&format!(
                        "wharf: `{kept}` points at something else at the destination of `{}`, and stays",
                        row.destination
                    ));
                }
            }
            Err(error) => row.fail(format!("{:#}", anyhow::Error::from(error))),
        }
    }
}
