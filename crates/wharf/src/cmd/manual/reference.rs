//! The reference of all commands, in Markdown.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, builder::StyledStr};

const HEAD: &str = "# Reference of the commands

Made from the definitions of the command line by `wharf reference`, as are the manual pages (`wharf man DIRECTORY`) and the completions
(`wharf completion SHELL`). `wharf COMMAND --help` prints the same.
";

/// The reference of `command` and all below it.
pub(super) fn of(mut command: Command) -> String {
    command.build();
    let mut text = HEAD.to_owned();
    for below in shown(&command) {
        one(below, "wharf", &mut text);
    }
    text
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let all = command.get_subcommands();
    all.filter(|below| !below.is_hide_set() && below.get_name() != "help")
}

/// A command, and those below it.
fn one(command: &Command, parents: &str, text: &mut String) {
    let name = format!("{parents} {}", command.get_name());
    _ = write!(text, "\n## {name}\n");
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        _ = write!(text, "\n{}\n", sentence(&plain(about)));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    _ = write!(text, "\n```text\n{usage}\n```\n");
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    if !arguments.is_empty() {
        text.push('\n');
    }
    for argument in arguments {
        _ = writeln!(text, "- {}", item(argument));
    }
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        _ = write!(text, "\n{}\n", plain(after));
    }
    for below in shown(command) {
        one(below, &name, text);
    }
}

/// An argument with its help on one line, and its values.
fn item(argument: &Arg) -> String {
    let mut text = format!("`{}`: ", spelled(argument));
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(plain).unwrap_or_default();
    let lines: Vec<&str> = help.lines().filter(|line| !line.is_empty()).collect();
    text += &sentence(&lines.join(" "));
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let takes_values = argument.get_action().takes_values();
    if takes_values && !defaults.is_empty() {
        text += &format!(" Default: {}.", defaults.join(", "));
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if takes_values && !values.is_empty() {
        text += &format!(" One of {}.", values.join(", "));
    }
    text
}

/// `-o, --output <FORM>`
fn spelled(argument: &Arg) -> String {
    let names: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let value = match names.is_empty() {
        true => argument.get_id().as_str().to_uppercase(),
        false => names.join(" "),
    };
    if argument.is_positional() {
        let repeated = match argument
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1)
        {
            true => "...",
            false => "",
        };
        return match argument.is_required_set() {
            true => format!("<{value}>{repeated}"),
            false => format!("[{value}]{repeated}"),
        };
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut text = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        text += &format!(" <{value}>");
    }
    text
}

/// The library takes the full stop of short texts away.
fn sentence(text: &str) -> String {
    match text.ends_with(['.', ':', '?']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

fn plain(text: &StyledStr) -> String {
    // A name such as `<b>` would be taken for a tag.
    text.to_string().replace('<', "\\<")
}
