//! `wharf access`: the problems of the access rules, and what they decide.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use wharf_access::{
    Action, Resource, Verb,
    rules::{Asker, OpenError, Problem, Reading, Rule, RuleOrigin, Rules, RulesFile, Verdict, Weight},
};

use crate::{
    cli::{Access, AccessTest, TestedAction},
    config,
};

/// The exit status of a question that has no answer.
const UNDECIDED: u8 = 2;

pub(crate) fn run(command: &Access) -> anyhow::Result<ExitCode> {
    match command {
        Access::Check { file, config } => check(file.as_deref(), config.as_deref()),
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
        Ok(answer.rule.is_allowed)
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

/// The decision about a question.
struct Answer<'a> {
    question: &'a AccessTest,
    /// The file of rules, if there is one
    file: Option<PathBuf>,
    rule: Decided,
}

/// What decides.
struct Decided {
    is_allowed: bool,
    /// `None`: no rule fits, so it is denied.
    origin: Option<RuleOrigin>,
    comment: Option<String>,
    creates_only: bool,
}

impl<'a> Answer<'a> {
    fn to(question: &'a AccessTest) -> anyhow::Result<Self> {
        let settings = config::load(question.config.as_deref())?;
        let file = question.file.clone().or(settings.access.rules);
        let of_file = file.as_deref().map(usable).transpose()?;
        let rules = Rules::effective(of_file.as_ref(), &settings.access.configured);
        let account = Some(&*question.account).filter(|account| *account != "anonymous");
        let groups = question.groups.iter();
        let groups: Vec<Box<str>> = groups.map(|group| group.trim_start_matches('@').into()).collect();
        let asker = Asker {
            account,
            groups: &groups,
            address: question.from,
        };
        let verb = match question.action {
            TestedAction::Pull => Some(Verb::Pull),
            TestedAction::Push => Some(Verb::Push),
            TestedAction::Delete => Some(Verb::Delete),
            TestedAction::Admin => None,
        };
        let verdict = match (verb, &question.target) {
            (Some(verb), Some(target)) => {
                let resource = Resource::Repository(&target.repository);
                let tag = target.tag.as_ref().map(wharf_oci::Tag::as_str);
                rules.decide(asker, Action { resource, verb }, tag)
            }
            _ => rules.administers(asker),
        };
        let rule = Decided::by(verdict, verb == Some(Verb::Push));
        Ok(Self { question, file, rule })
    }

    fn text(&self) -> String {
        let Self { question, rule, .. } = self;
        let account = match &*question.account {
            "anonymous" => "a client without an account".to_owned(),
            account => format!("`{}`", account.escape_debug()),
        };
        let may = if rule.is_allowed { "may" } else { "may not" };
        let mut text = match rule.is_allowed {
            true => "allowed: ".to_owned(),
            false => "denied: ".to_owned(),
        };
        _ = match (question.action, self.target()) {
            (TestedAction::Admin, _) | (_, None) => writeln!(text, "{account} {may} administer the registry"),
            (action, Some(target)) => writeln!(text, "{account} {may} {} {target}", word(action)),
        };
        if rule.creates_only {
            text.push_str("  if the tag does not exist yet: the rule says `push: create-only`\n");
        }
        _ = match rule.origin {
            None => writeln!(text, "  no rule allows it"),
            Some(origin) => writeln!(text, "  rule: {}", self.place(origin)),
        };
        if let Some(comment) = &rule.comment {
            _ = writeln!(text, "  comment: {}", wharf_client::printable(comment));
        }
        text
    }

    fn json(&self) -> String {
        let Self { question, rule, .. } = self;
        let target = question.target.as_ref();
        let account = Some(&*question.account).filter(|account| *account != "anonymous");
        let decided = rule.origin.map(|origin| {
            let (line, key) = match origin {
                RuleOrigin::Line(line) => (Some(line), None),
                RuleOrigin::Key(key) => (None, Some(key)),
                RuleOrigin::Default => (None, None),
            };
            let file = line
                .and(self.file.as_ref())
                .map(|file| file.display().to_string());
            json!({ "file": file, "line": line, "key": key, "comment": rule.comment })
        });
        let answer = json!({
            "allowed": rule.is_allowed,
            "account": account,
            "action": word(question.action),
            "repository": target.map(|target| target.repository.as_str()),
            "tag": target.and_then(|target| target.tag.as_ref()).map(wharf_oci::Tag::as_str),
            "create_only": rule.creates_only,
            "rule": decided.unwrap_or(Value::Null),
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

    fn place(&self, origin: RuleOrigin) -> String {
        match (origin, &self.file) {
            (RuleOrigin::Line(line), Some(file)) => format!("{}:{line}", file.display()),
            (origin, _) => origin.to_string(),
        }
    }
}

impl Decided {
    fn by(verdict: Verdict<'_>, is_push: bool) -> Self {
        let (is_allowed, rule): (bool, Option<&Rule>) = match verdict {
            Verdict::Allowed(rule) => (true, Some(rule)),
            Verdict::Denied(rule) => (false, rule),
        };
        Self {
            is_allowed,
            origin: rule.map(|rule| rule.origin),
            comment: rule.and_then(|rule| rule.comment.as_deref()).map(str::to_owned),
            creates_only: is_allowed && is_push && rule.is_some_and(|rule| rule.creates_only),
        }
    }
}

/// The rules of a file that a server would use.
fn usable(path: &Path) -> anyhow::Result<Rules> {
    let reading = RulesFile::check(path)?;
    if reading.is_usable() {
        return Ok(reading.rules);
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
