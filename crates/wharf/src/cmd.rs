//! One module for each command.

pub(crate) mod cert;
pub(crate) mod config;
pub(crate) mod garbage_collect;
pub(crate) mod htpasswd;
pub(crate) mod pwgen;
pub(crate) mod serve;
pub(crate) mod user;
mod webhooks;
