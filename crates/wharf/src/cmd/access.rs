//! `wharf access`: the problems of the access rules, and what they decide.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use wharf_access::rules::{Configured, OpenError, Problem, Reading, Rules, RulesFile, Weight};
use wharf_client::control::ControlError;
use wharf_server::admin::{decide, list_rules, wire};

use super::table;
use crate::{
    cli::{Access, AccessTest, TestedAction},
    config,
    control::RunningServer,
};

/// The exit status of a question that has no answer.
const UNDECIDED: u8 = 2;

pub(crate) fn run(command: &Access) -> anyhow::Result<ExitCode> {
    match command {
        Access::Check { file, config } => check(file.as_deref(), config.as_deref()),
        Access::Show { config, json } => show(config.as_deref(), *json),
        Access::Test(question) => Ok(test(question)),
    }
}

fn check(file: Option<&Path>, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => config::load(config)?
            .access
            .rules
            .context("no rules are configured (`access.rules`): every user may do everything; name the file to check it")?,
    };
    let Reading { rules, problems } = RulesFile::check(&path)?;
    print(&remarks(&path, &rules, &problems))?;
    let is_good = problems.iter().all(|problem| problem.weight == Weight::Note);
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A line for each problem, its hint below it, and a summary.
fn remarks(path: &Path, rules: &Rules, problems: &[Problem]) -> String {
    let path = path.display();
    let mut text = String::new();
    for Problem {
        line,
        weight,
        text: what,
        hint,
    } in problems
    {
        _ = match line {
            0 => writeln!(text, "{weight}: {path}: {what}"),
            line => writeln!(text, "{weight}: {path}:{line}: {what}"),
        };
        if let Some(hint) = hint {
            _ = writeln!(text, "  hint: {hint}");
        }
    }
    let count = |weight: Weight, word: &str| {
        let count = problems.iter().filter(|problem| problem.weight == weight).count();
        format!("{count} {word}{}", if count == 1 { "" } else { "s" })
    };
    let (errors, warnings) = (count(Weight::Error, "error"), count(Weight::Warning, "warning"));
    let plural = if rules.list().len() == 1 { "" } else { "s" };
    _ = writeln!(
        text,
        "{path}: {} rule{plural}, {errors}, {warnings}",
        rules.list().len()
    );
    text
}

fn test(question: &AccessTest) -> ExitCode {
    let answered = Answer::to(question).and_then(|answer| {
        print(&if question.json {
            answer.json()
        } else {
            answer.text()
        })?;
        Ok(answer.decision.allowed)
    });
    match answered {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A closed stderr leaves no other way to report.
            _ = writeln!(io::stderr(), "wharf: {error:#}");
            ExitCode::from(UNDECIDED)
        }
    }
}

/// The rules of a file and of the configuration.
struct Written {
    /// `None`: there are none, and every user may do everything on repositories.
    rules: Option<Rules>,
    file: Option<PathBuf>,
    /// What part of the file does nothing, or not what it seems to
    warnings: Vec<String>,
}

/// The answer `of_server`, or else that of the rules in `file`, or of those that the configuration names. A server without users has no
/// rules.
fn ask<T>(
    file: Option<&Path>,
    config: Option<&Path>,
    of_server: impl FnOnce(&RunningServer) -> Result<T, ControlError>,
    of_written: impl FnOnce(&Written) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let settings = config::load(config)?;
    if file.is_none()
        && let Some(server) = RunningServer::find(&settings)?
    {
        match of_server(&server) {
            Err(error) if error.is("no-users") => {}
            answered => return Ok(answered?),
        }
    }
    let file = file.map(Path::to_owned).or(settings.access.rules);
    of_written(&Written::read(file, &settings.access.configured)?)
}

impl Written {
    fn read(file: Option<PathBuf>, configured: &Configured) -> anyhow::Result<Self> {
        let reading = file.as_deref().map(usable).transpose()?;
        let are_any = reading.is_some() || *configured != Configured::default();
        let of_file = reading.as_ref().map(|reading| &reading.rules);
        let rules = are_any.then(|| Rules::effective(of_file, configured));
        let problems = reading.into_iter().flat_map(|reading| reading.problems);
        let warnings = problems.filter(|problem| problem.weight == Weight::Warning);
        Ok(Self {
            rules,
            file,
            warnings: warnings.map(|warning| warning.to_string()).collect(),
        })
    }

    fn list(&self) -> wire::RuleList {
        let file = self.file.as_ref().map(|file| wire::RulesFile {
            path: file.display().to_string(),
            problem: None,
            warnings: self.warnings.clone(),
        });
        list_rules(self.rules.as_ref(), file)
    }

    fn decide(&self, question: &wire::RuleQuestion) -> anyhow::Result<wire::RuleDecision> {
        Ok(decide(self.rules.as_ref(), self.file.as_deref(), question)?)
    }
}

fn show(config: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let of_server = |server: &RunningServer| server.ask(Method::GET, "/rules", &[]);
    let list = ask(None, config, of_server, |written| Ok(written.list()))?;
    let text = match json {
        true => format!("{:#}\n", serde_json::to_value(&list)?),
        false => listed(&list),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The rules as a table, below what is wrong with their file.
fn listed(list: &wire::RuleList) -> String {
    let mut text = String::new();
    if let Some(file) = &list.file {
        if let Some(problem) = &file.problem {
            _ = writeln!(text, "error: {problem}; the last good rules are in force");
        }
        for warning in &file.warnings {
            _ = writeln!(text, "warning: {}: {warning}", file.path);
        }
    }
    if list.rules.is_empty() {
        text.push_str(match list.file {
            Some(_) => "no rules: nothing is allowed\n",
            None => "no rules are configured (`access.rules`): every user may do everything\n",
        });
        return text;
    }
    let rows = list.rules.iter().map(|rule| {
        let effect = match rule.effect {
            wire::RuleEffect::Allow => "allow",
            wire::RuleEffect::Deny => "deny",
            wire::RuleEffect::Exactly => "allow only",
        };
        let actions = rule.actions.join(",");
        let or = |texts: &[String]| match texts {
            [] => "-".to_owned(),
            texts => texts.join(" "),
        };
        [
            rule.origin.clone(),
            rule.accounts.join(" "),
            rule.repositories.join(" "),
            or(&rule.tags),
            or(&rule.from),
            match rule.create_only {
                true => format!("{effect} {actions}, push: create-only"),
                false => format!("{effect} {actions}"),
            },
            wharf_client::printable(rule.comment.as_deref().unwrap_or_default()).to_string(),
        ]
    });
    let head = [
        "RULE",
        "ACCOUNTS",
        "REPOSITORIES",
        "TAGS",
        "FROM",
        "EFFECT",
        "COMMENT",
    ];
    text + &table::aligned(head, rows) + "\n"
}

/// The question of a command, and the answer.
struct Answer<'a> {
    question: &'a AccessTest,
    decision: wire::RuleDecision,
}

impl<'a> Answer<'a> {
    fn to(question: &'a AccessTest) -> anyhow::Result<Self> {
        let target = question.target.as_ref();
        let asked = wire::RuleQuestion {
            account: account(question).map(str::to_owned),
            groups: question.groups.clone(),
            action: match question.action {
                TestedAction::Pull => wire::RuleAction::Pull,
                TestedAction::Push => wire::RuleAction::Push,
                TestedAction::Delete => wire::RuleAction::Delete,
                TestedAction::Admin => wire::RuleAction::Admin,
            },
            repository: target.map(|target| target.repository.to_string()),
            tag: target
                .and_then(|target| target.tag.as_ref())
                .map(ToString::to_string),
            from: question.from.map(|address| address.to_string()),
        };
        let (file, config) = (question.file.as_deref(), question.config.as_deref());
        let of_server = |server: &RunningServer| server.tell(Method::POST, "/rules/test", &[], &asked);
        let decision = ask(file, config, of_server, |written| written.decide(&asked))?;
        Ok(Self { question, decision })
    }

    fn text(&self) -> String {
        let Self { question, decision } = self;
        let account = match account(question) {
            None => "a client without an account".to_owned(),
            Some(account) => format!("`{}`", account.escape_debug()),
        };
        let (verdict, may) = match decision.allowed {
            true => ("allowed", "may"),
            false => ("denied", "may not"),
        };
        let mut text = match (question.action, self.target()) {
            (TestedAction::Admin, _) | (_, None) => {
                format!("{verdict}: {account} {may} administer the registry\n")
            }
            (action, Some(target)) => format!("{verdict}: {account} {may} {} {target}\n", word(action)),
        };
        if decision.create_only {
            text.push_str("  if the tag does not exist yet: the rule says `push: create-only`\n");
        }
        let Some(rule) = &decision.rule else {
            return text + "  no rule allows it\n";
        };
        _ = match (&rule.file, rule.line) {
            (Some(file), Some(line)) => writeln!(text, "  rule: {file}:{line}"),
            _ => writeln!(text, "  rule: {}", rule.origin),
        };
        if let Some(comment) = &rule.comment {
            _ = writeln!(text, "  comment: {}", wharf_client::printable(comment));
        }
        text
    }

    fn json(&self) -> String {
        let Self { question, decision } = self;
        let target = question.target.as_ref();
        let rule = decision.rule.as_ref().map(
            |rule| json!({ "file": rule.file, "line": rule.line, "key": rule.key, "comment": rule.comment }),
        );
        let answer = json!({
            "allowed": decision.allowed,
            "account": account(question),
            "action": word(question.action),
            "repository": target.map(|target| target.repository.as_str()),
            "tag": target.and_then(|target| target.tag.as_ref()).map(wharf_oci::Tag::as_str),
            "create_only": decision.create_only,
            "rule": rule.unwrap_or(Value::Null),
        });
        format!("{answer:#}\n")
    }

    fn target(&self) -> Option<String> {
        let target = self.question.target.as_ref()?;
        Some(match &target.tag {
            Some(tag) => format!("{}:{tag}", target.repository),
            None => target.repository.to_string(),
        })
    }
}

/// The account that a question is about; `None`: a client without one.
fn account(question: &AccessTest) -> Option<&str> {
    Some(&*question.account).filter(|account| *account != "anonymous")
}

/// What a file says, if a server would use it.
fn usable(path: &Path) -> anyhow::Result<Reading> {
    let reading = RulesFile::check(path)?;
    if reading.is_usable() {
        return Ok(reading);
    }
    let problems = reading.problems.into_iter();
    Err(OpenError::Problems {
        path: path.to_owned(),
        problems: problems
            .filter(|problem| problem.weight == Weight::Error)
            .collect(),
    }
    .into())
}

fn word(action: TestedAction) -> &'static str {
    match action {
        TestedAction::Pull => "pull",
        TestedAction::Push => "push",
        TestedAction::Delete => "delete",
        TestedAction::Admin => "admin",
    }
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}
