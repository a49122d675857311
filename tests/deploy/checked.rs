//! Configurations are checked by the real `wharf config check`, as before a deployment.

use std::process::Command;

use wharf_testkit::tool::Bench;

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
