//! All sentences of the registry, for those that translate them.

use wharf_message::Code;

use crate::{
    check::{Damage, Remedy},
    collect::{At, KeptBecause},
    error::Error,
    overview::LeftOut,
    plan::{Stays, Unshown},
    retention::{Reason, RetentionRefusal},
    tree::words::Flaw,
};

/// The codes of all sentences of the registry.
pub const MESSAGES: &[&[Code]] = &[
    At::CODES,
    Damage::CODES,
    Error::CODES,
    Flaw::CODES,
    KeptBecause::CODES,
    LeftOut::CODES,
    Reason::CODES,
    Remedy::CODES,
    RetentionRefusal::CODES,
    Stays::CODES,
    Unshown::CODES,
];
