//! Browsers in which an account is signed in.

use std::time::{Duration, SystemTime};

use wharf_access::{
    Access,
    sessions::{Listed, Sessions},
};

use super::{shown::time, wire};

/// The browsers in which `account` is signed in.
pub async fn list_sessions(sessions: &Sessions, access: &Access, account: &str) -> wire::SessionList {
    let mut shown = wire::SessionList {
        account: account.to_owned(),
        sessions: Vec::new(),
    };
    for Listed { id, session } in sessions.of_account(account, SystemTime::now()).await {
        // What ended with a password is not removed at once.
        if access.of_session(&session).await.is_none() {
            continue;
        }
        let (idle, whole) = sessions.ends(&session);
        shown.sessions.push(wire::Session {
            id,
            begun: moment(session.begun()),
            used: moment(session.used()),
            ends: moment(idle.min(whole)),
            user_agent: Some(session.agent().to_owned()).filter(|agent| !agent.is_empty()),
            address: session.address().map(|address| address.to_string()),
        });
    }
    shown
}

/// A time in seconds since 1970.
fn moment(seconds: u64) -> String {
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    moment.map(time).unwrap_or_default()
}
