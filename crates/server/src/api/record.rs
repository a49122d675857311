//! The record of a change in the activity log.

use std::net::IpAddr;

use http::request::Parts;
use uuid::Uuid;
use wharf_activity::{Action, Activity, Outcome};
use wharf_http::RequestContext;
use wharf_registry::CallerFacts;

use super::{
    answer::Answer,
    operation::Operation,
    problem::{Kind, Problem},
};
use crate::facts;

/// The facts about a change that are recorded when its outcome is known. It owns them, because a change outlives its request.
#[derive(Debug)]
pub(crate) struct Record {
    activity: Activity,
    action: Action,
    operation: &'static Operation,
    actor: Option<String>,
    request: Option<Uuid>,
    address: Option<IpAddr>,
    user_agent: String,
}

impl Record {
    /// The record of `operation`; `None`: there is no entry of it, or no log.
    pub(crate) fn of(
        activity: Option<&Activity>,
        operation: &'static Operation,
        context: &RequestContext,
        parts: &Parts,
    ) -> Option<Self> {
        let action = operation.action()?;
        let facts = facts::of(context, parts);
        Some(Self {
            activity: activity?.clone(),
            action,
            operation,
            actor: facts.actor.map(str::to_owned),
            request: facts.request,
            address: facts.address,
            user_agent: facts.user_agent.to_owned(),
        })
    }

    /// What was `checked`, and the record. If the caller was refused the record ends with that.
    pub(crate) fn unless_refused<T>(
        checked: Result<T, Problem>,
        record: Option<Self>,
    ) -> Result<(T, Option<Self>), Problem> {
        match checked {
            Ok(checked) => Ok((checked, record)),
            Err(problem) => {
                if let Some(record) = record {
                    record.end(Err(&problem));
                }
                Err(problem)
            }
        }
    }

    /// Records what came of the change. What the client asked for wrongly is no entry: nothing was done, or denied.
    pub(crate) fn end(self, result: Result<&Answer, &Problem>) {
        let (what, outcome) = match result {
            Ok(answer) => (answer.deed.as_deref(), Outcome::Ok),
            Err(problem) => match problem.kind() {
                Kind::Forbidden => (None, Outcome::Denied),
                // A part may have been done.
                Kind::Failed => (problem.deed(), Outcome::Failed),
                _ => return,
            },
        };
        let facts = CallerFacts {
            actor: self.actor.as_deref(),
            request: self.request,
            address: self.address,
            method: self.operation.method.as_str(),
            user_agent: &self.user_agent,
        };
        let what = what.unwrap_or(self.operation.id);
        match self.action {
            Action::SignOut => self.activity.signed_out(&facts, Some(what), outcome),
            _ => self.activity.administered(&facts, what, outcome),
        }
    }
}
