//! Configurations are checked by the real `wharf config check`, as before a deployment.

use std::process::Command;

use wharf_testkit::{Value, tool::Bench};

use crate::yaml;

/// Checks a configuration with the variables of its container; it must have neither problems nor warnings. Files are those of
/// the container, so they are not looked at.
#[track_caller]
pub(crate) fn is_good(config: &str, variables: &[(String, String)]) {
    let bench = Bench::new();
    bench.write("config.yml", config);
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["config", "check", "--no-files"])
        .arg(bench.path("config.yml"))
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.ends_with(": 0 problems, 0 warnings\n"),
        "{said}{}\n{config}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The effective values of a configuration: `wharf config show`.
#[track_caller]
pub(crate) fn shown(config: &str, variables: &[(String, String)]) -> Value {
    let bench = Bench::new();
    bench.write("config.yml", config);
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["config", "show"])
        .arg(bench.path("config.yml"))
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{config}");
    yaml::document(&String::from_utf8_lossy(&output.stdout))
}
