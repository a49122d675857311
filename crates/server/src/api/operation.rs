//! The form of an operation: what the router, `Allow` and the OpenAPI document are made of.

use std::fmt;

use futures_util::future::BoxFuture;
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use wharf_activity::Action;

use super::{
    answer::Answer,
    call::Call,
    caller::Right,
    problem::{Kind, Result},
    query::Parameter,
};

/// An operation of the API: one method at one path.
pub(crate) struct Operation {
    /// Name of the operation in clients that are generated.
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    /// Path below `/api/v1`.
    pub(crate) path: &'static str,
    /// Effect, in one sentence without a full stop.
    pub(crate) summary: &'static str,
    /// The right that the caller needs.
    pub(crate) right: Right,
    /// The parameters of the query; no others are taken.
    pub(crate) query: &'static [Parameter],
    /// The form of the body; `None`: there is none.
    pub(crate) body: Option<SchemaOf>,
    /// The status of success.
    pub(crate) status: u16,
    /// The form of the answer; `None`: that of the document is not described by itself.
    pub(crate) answer: Option<SchemaOf>,
    /// Whether the answer has an `ETag`, and a change takes `If-Match`.
    pub(crate) has_version: bool,
    pub(crate) effect: Effect,
    /// Most bytes of the body. What is larger than the usual limit is parsed on a thread of its own.
    pub(crate) body_limit: usize,
    /// The problems that this operation has beside those of all operations.
    pub(crate) problems: &'static [Kind],
    pub(crate) handler: Handler,
}

/// What an operation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it may be repeated.
    None,
    /// The settings of the server, such as its users.
    Settings,
    /// What is in repositories: events, and not an entry about administration, tell of it.
    Content,
    /// What the store keeps beside the repositories, such as the trash.
    Store,
    /// The browsers that are signed in.
    Sessions,
    /// Secrets that its answer shows once: the answer is never remembered, and `Idempotency-Key` is refused.
    Secrets,
}

/// Carries out an operation.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Result<Answer>>;

/// Makes the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Operation {
    /// Whether it changes something.
    pub(crate) fn is_write(&self) -> bool {
        self.effect != Effect::None
    }

    /// Whether it changes what is in the store of the images, which may be for reading alone.
    pub(crate) fn changes_store(&self) -> bool {
        matches!(self.effect, Effect::Content | Effect::Store)
    }

    /// The action that the activity log has an entry of; `None`: it changes nothing, or events tell of it.
    pub(crate) fn action(&self) -> Option<Action> {
        match self.effect {
            Effect::None | Effect::Content => None,
            Effect::Settings | Effect::Store | Effect::Secrets => Some(Action::Administration),
            Effect::Sessions => Some(Action::SignOut),
        }
    }

    /// Whether it takes an `Idempotency-Key`, by which a repetition is noticed.
    pub(crate) fn takes_key(&self) -> bool {
        matches!(
            self.effect,
            Effect::Settings | Effect::Content | Effect::Store | Effect::Sessions
        )
    }
}

/// The schema of `T`, by reference.
pub(crate) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
