//! The access rules, and the question whether an account may do something.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{Choice, Decision, Line, Page, Rule, Rules, Said, Tone};

use super::{
    answer::Answer,
    call::Call,
    failure::Result,
    forms::{self, field},
};
use crate::{admin::wire, api::problem::Kind};

const ACTIONS: [(&str, wire::RuleAction); 4] = [
    ("pull", wire::RuleAction::Pull),
    ("push", wire::RuleAction::Push),
    ("delete", wire::RuleAction::Delete),
    ("admin", wire::RuleAction::Admin),
];

/// The rules in their order, with the one that decides the question marked.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let query = call.query;
        let found: wire::RuleList = call.ask("showRules", &[]).await?;
        let page = call.page();
        let asked = ACTIONS.into_iter().find(|(word, _)| *word == query.get("action"));
        let (mut repository, mut tag, mut from) = (
            field("repository", query),
            field("tag", query),
            field("from", query),
        );
        let mut decided: Option<wire::RuleDecision> = None;
        if let Some((_, action)) = asked {
            let optional = |name: &str| query.some(name).map(str::to_owned);
            let question = wire::RuleQuestion {
                account: optional("account"),
                groups: Vec::new(),
                action,
                repository: optional("repository"),
                tag: optional("tag"),
                from: optional("from"),
            };
            match call.tell("testRules", &[], &question).await {
                Ok(decision) => decided = Some(decision),
                Err(failure) if failure.kind() == Kind::BadBody => {
                    let wrong = Some(forms::wrong(&page, &failure));
                    match failure.field() {
                        Some("tag") => tag.wrong = wrong,
                        Some("from") => from.wrong = wrong,
                        _ => repository.wrong = wrong,
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        let deciding = decided.as_ref().and_then(|decision| decision.rule.as_ref());
        let rules = found.rules.into_iter().map(|rule| {
            let decides = deciding.is_some_and(|deciding| deciding.origin == rule.origin);
            shown(rule, decides)
        });
        let file = found.file;
        let chosen = asked.map_or("pull", |(word, _)| word);
        Ok(Answer::page(Rules {
            rules: rules.collect(),
            problem: Said::from(Line::from(file.as_ref().and_then(|file| file.problem.clone()))),
            warnings: file
                .iter()
                .flat_map(|file| &file.warnings)
                .map(|warning| Said::from(Line::from(warning)))
                .collect(),
            file: file.map(|file| file.path).unwrap_or_default(),
            account: field("account", query),
            repository,
            tag,
            from,
            rights: ACTIONS
                .into_iter()
                .map(|(word, _)| Choice {
                    value: word.to_owned(),
                    chosen: word == chosen,
                })
                .collect(),
            decision: decided.map(|decision| answer(call, &page, &decision)),
            page,
        }))
    }
    .boxed()
}

fn shown(rule: wire::Rule, decides: bool) -> Rule {
    let (effect, tone) = match rule.effect {
        wire::RuleEffect::Allow => ("allow", Tone::Good),
        wire::RuleEffect::Deny => ("deny", Tone::Bad),
        wire::RuleEffect::Exactly => ("exactly", Tone::Good),
    };
    let lines = |texts: Vec<String>| texts.into_iter().map(Line::from).collect();
    Rule {
        line: rule.line.map(|line| line as u64),
        effect: effect.to_owned(),
        tone,
        actions: rule.actions,
        accounts: lines(rule.accounts),
        repositories: lines(rule.repositories),
        comment: Line::from(rule.comment),
        tags: lines(rule.tags),
        create_only: rule.create_only,
        decides,
        from: lines(rule.from),
    }
}

fn answer(call: Call<'_>, page: &Page, decision: &wire::RuleDecision) -> Decision {
    let (key, tone, icon) = match decision.allowed {
        true => ("rules.allowed", Tone::Good, "check"),
        false => ("rules.denied", Tone::Bad, "warn"),
    };
    let account = call.query.some("account").map(str::to_owned);
    let account = account.unwrap_or_else(|| page.t("via.anonymous").attr());
    let what = match (call.query.get("repository"), call.query.get("tag")) {
        (repository, "") => repository.to_owned(),
        (repository, tag) => format!("{repository}:{tag}"),
    };
    Decision {
        tone,
        icon,
        verdict: page.t(key).arg("account", account).arg("what", what),
        reason: page.t(match decision.rule {
            Some(_) => "rules.reason.rule",
            None => "rules.reason.none",
        }),
        line: decision
            .rule
            .as_ref()
            .and_then(|rule| rule.line)
            .map(|line| line as u64),
    }
}
