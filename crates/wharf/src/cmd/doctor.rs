//! `wharf doctor`: everything that a registry needs, each with its state, and with a remedy where it is not well.

mod accounts;
mod certificate;
mod files;
mod listener;
mod mounts;
mod processes;
mod report;
mod store;
mod writers;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use tokio::runtime;

use self::report::Report;
use crate::{
    cli::Doctor,
    config::{self, Examined},
};

/// Exit code when nothing could be looked at.
const CANNOT: u8 = 2;

/// Looks at everything, changes nothing, and prints what was found. Exit code 1 when there are problems.
pub(crate) fn run(arguments: &Doctor) -> ExitCode {
    match look(arguments) {
        Ok(code) => code,
        Err(error) => {
            // A closed stderr leaves no other way to report.
            _ = writeln!(io::stderr(), "wharf: {error:#}");
            ExitCode::from(CANNOT)
        }
    }
}

fn look(arguments: &Doctor) -> anyhow::Result<ExitCode> {
    let examined = config::examine(arguments.config.as_deref());
    let settings = examined.settings();
    if let Some(source) = &settings.source {
        #[expect(clippy::disallowed_methods, reason = "the configuration is not in the store")]
        std::fs::File::open(&source.path).with_context(|| format!("cannot read {source}"))?;
    }
    let mut report = Report::default();
    configuration(&examined, &mut report);
    // The settings of a configuration with problems are not all there.
    if examined.is_valid() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start")?;
        let is_address_free = runtime.block_on(listener::look(settings, &mut report));
        certificate::look(settings, &mut report);
        files::look(settings, examined.has_secret_in_file(), &mut report);
        accounts::look(settings, &mut report);
        runtime.block_on(store::look(settings, &mut report));
        writers::look(settings, is_address_free, &mut report);
    }
    let name = match &settings.source {
        Some(source) => source.path.display().to_string(),
        None => "no configuration file, and the environment".to_owned(),
    };
    let text = match arguments.json {
        true => report.json(&name),
        false => report.text(&name),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print what was found")?;
    Ok(report.exit_code())
}

fn configuration(examined: &Examined, report: &mut Report) {
    const CONFIGURATION: &str = "configuration";

    for problem in examined.problems() {
        let remedy = "correct it; the other checks follow when the configuration has no problem. Every key: docs/configuration.md";
        report.problem(CONFIGURATION, problem, remedy);
    }
    for warning in examined.warnings() {
        report.warning(
            CONFIGURATION,
            warning,
            "correct it, or remove the key; every key: docs/configuration.md",
        );
    }
    if report.lines.is_empty() {
        report.ok(
            CONFIGURATION,
            "no problem; `wharf config show --origin` prints what is in force",
        );
    }
}
