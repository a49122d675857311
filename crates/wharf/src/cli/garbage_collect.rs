//! The arguments of `garbage-collect`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

/// The arguments of registry:2.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct GarbageCollect {
    /// registry:2's config.yml; only `storage` is used.
    ///
    /// Otherwise found as for `serve`. There must be a file.
    pub(crate) config: Option<PathBuf>,

    /// Print what would be removed, and remove nothing. Works beside a running server.
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool,
          hide_default_value = true, overrides_with = "dry_run")]
    pub(crate) dry_run: bool,

    /// Remove manifests that no tag reaches as well.
    #[arg(short = 'm', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool,
          hide_default_value = true, overrides_with = "delete_untagged")]
    pub(crate) delete_untagged: bool,

    /// Print nothing on standard output.
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = go_bool,
          hide_default_value = true, overrides_with = "quiet")]
    pub(crate) quiet: bool,

    /// Ignored, as in registry:2: some recipes name the configuration twice.
    #[arg(hide = true)]
    pub(crate) ignored: Vec<OsString>,
}

/// Parses a boolean as Go's `strconv.ParseBool` does.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("write `true` or `false`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};

    #[test]
    fn garbage_collect_takes_what_people_type() {
        let parse = |line: &str| match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::GarbageCollect(arguments) => arguments,
            other => panic!("{other:?}"),
        };
        let shown = |line: &str| {
            let arguments = parse(line);
            assert_eq!(arguments.config.as_deref(), Some("c.yml".as_ref()), "{line}");
            (arguments.dry_run, arguments.delete_untagged, arguments.quiet)
        };
        for (line, expected) in [
            ("registry garbage-collect c.yml", (false, false, false)),
            ("registry garbage-collect c.yml c.yml", (false, false, false)),
            (
                "registry garbage-collect c.yml --dry-run c.yml",
                (true, false, false),
            ),
            ("registry garbage-collect --dry-run c.yml", (true, false, false)),
            ("registry garbage-collect -m=true -d c.yml", (true, true, false)),
            (
                "registry garbage-collect --delete-untagged c.yml",
                (false, true, false),
            ),
            (
                "registry garbage-collect --delete-untagged=true c.yml",
                (false, true, false),
            ),
            ("registry garbage-collect -m=false c.yml -q", (false, false, true)),
            ("registry garbage-collect -dmq c.yml", (true, true, true)),
            (
                "registry garbage-collect c.yml -dm=T --quiet=0",
                (true, true, false),
            ),
            ("registry garbage-collect -d -d c.yml", (true, false, false)),
        ] {
            assert_eq!(shown(line), expected, "{line}");
        }
        assert_eq!(parse("registry garbage-collect -d").config, None);
        let refused = ["registry", "garbage-collect", "-m=maybe", "c.yml"];
        assert!(Cli::try_parse_from(refused).is_err());
    }
}
