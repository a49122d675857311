//! Version, commit and build of this program, as `--version`, the log and the metrics say them.

/// The version alone, as in every line of the log.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of the sources, shortened; `unknown` where they were not a checkout.
pub(crate) const COMMIT: &str = env!("WHARF_COMMIT");
/// Profile and target of the compiler: `release x86_64-unknown-linux-gnu`.
pub(crate) const BUILD: &str = env!("WHARF_BUILD");
/// All of it in a line.
pub(crate) const WHOLE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("WHARF_COMMIT"),
    ", ",
    env!("WHARF_BUILD"),
    ")"
);
