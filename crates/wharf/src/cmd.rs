//! The commands, a module for each.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod cert;
pub(crate) mod config;
pub(crate) mod credential_helper;
pub(crate) mod doctor;
pub(crate) mod fsck;
pub(crate) mod garbage_collect;
pub(crate) mod healthcheck;
pub(crate) mod htpasswd;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod manual;
mod offline;
pub(crate) mod pwgen;
pub(crate) mod referrers;
pub(crate) mod remote;
pub(crate) mod repo;
pub(crate) mod serve;
mod size;
pub(crate) mod storage;
mod table;
mod tag_history;
pub(crate) mod token;
pub(crate) mod uploads;
pub(crate) mod user;
