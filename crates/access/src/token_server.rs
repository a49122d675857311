//! The token server of this registry as a way to log in: what its tokens stand for, as long as they stand for it.
//!
//! A token is good while what it is [bound](crate::binding) to is: each use compares the stamp of its user with the password
//! file in force, and asks for its robot token. So it ends with the user, with the password, or with the robot token, at once.

use std::{sync::Arc, time::SystemTime};

use crate::{
    binding::Binding,
    decision::Reason,
    htpasswd::Htpasswd,
    issuer::Issuer,
    principal::Principal,
    robot::{Robot, Robots, is_token},
    stamp::Stamp,
    token::{Claims, Rejection},
};

/// The token server of this registry, and its robot tokens.
#[derive(Debug, Clone)]
pub struct TokenServer {
    issuer: Issuer,
    robots: Robots,
}

/// A client that has shown to the token server which one it is.
#[derive(Debug, Clone)]
pub struct Login {
    /// The client
    pub principal: Principal,
    /// What ends with the tokens that it gets
    pub binding: Binding,
    /// When the refresh token ends that it came with, if it did
    pub expires: Option<SystemTime>,
}

/// A token that was presented, and is good if what it is bound to still is.
enum Presented {
    Issued(Arc<Claims>, Option<Arc<Robot>>),
    Robot(Arc<Robot>),
}

impl TokenServer {
    /// A token server that issues by `issuer`, and knows `robots`.
    pub fn new(issuer: Issuer, robots: Robots) -> Self {
        Self { issuer, robots }
    }

    /// What makes and verifies its tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The robot tokens.
    pub fn robots(&self) -> &Robots {
        &self.robots
    }

    /// The client with this bearer token, or this password if it has the form of a robot token. One hash, and nothing is
    /// allocated. `None`: call [`authenticate`](Self::authenticate).
    pub(crate) fn authenticate_at_once(
        &self,
        token: &[u8],
        users: &Htpasswd,
        now: SystemTime,
    ) -> Option<Result<Principal, Reason>> {
        let presented = match is_token(token) {
            true => self.robot(token, now),
            false => self.issued(self.issuer.recognise(token, now)?, now),
        };
        let Some(presented) = presented else {
            return Some(Err(ended()));
        };
        let stamp = match presented.user() {
            Some(user) => users.stamp_at_once(user).ok()?,
            None => None,
        };
        Some(presented.principal(stamp))
    }

    /// The same for every token: verifies its signature, and reads the password file if that has changed.
    ///
    /// # Errors
    ///
    /// [`Reason::BadToken`].
    pub(crate) async fn authenticate(
        &self,
        token: &[u8],
        users: &Htpasswd,
        now: SystemTime,
    ) -> Result<Principal, Reason> {
        let presented = match is_token(token) {
            true => self.robot(token, now),
            false => {
                let (issuer, token) = (self.issuer.clone(), token.to_vec());
                let verify = move || issuer.authenticate(&token, now);
                self.issued(off_thread(verify).await?, now)
            }
        };
        let presented = presented.ok_or_else(ended)?;
        let stamp = stamp_of(&presented, users).await;
        presented.principal(stamp)
    }

    /// The client with this refresh token.
    ///
    /// # Errors
    ///
    /// [`Reason::BadToken`].
    pub(crate) async fn redeem(
        &self,
        refresh: &[u8],
        users: &Htpasswd,
        now: SystemTime,
    ) -> Result<Login, Reason> {
        let (issuer, token) = (self.issuer.clone(), refresh.to_vec());
        let claims = off_thread(move || issuer.read_refresh(&token, now)).await?;
        let (binding, expires) = (claims.binding(), claims.expires());
        let presented = self.issued(Arc::new(claims), now).ok_or_else(ended)?;
        let stamp = stamp_of(&presented, users).await;
        let principal = presented.principal(stamp)?;
        // In place of the password that it was fetched with.
        let principal = match (principal.robot(), principal.account()) {
            (Some(robot), _) => Principal::with_robot(Arc::clone(robot)),
            (None, Some(account)) => Principal::with_password(Arc::clone(account)),
            (None, None) => Principal::ANONYMOUS,
        };
        Ok(Login {
            principal,
            binding,
            expires: Some(expires),
        })
    }

    fn robot(&self, token: &[u8], now: SystemTime) -> Option<Presented> {
        self.robots.recognise(token, now).map(Presented::Robot)
    }

    fn issued(&self, claims: Arc<Claims>, now: SystemTime) -> Option<Presented> {
        match claims.binding() {
            Binding::Robot(id, stamp) => {
                let robot = self.robots.by_id(id, now)?;
                let robot = Some(robot).filter(|robot| robot.stamp() == stamp)?;
                Some(Presented::Issued(claims, Some(robot)))
            }
            Binding::Time | Binding::User(_) => Some(Presented::Issued(claims, None)),
        }
    }
}

impl Presented {
    /// The user without whom the token is good for nothing.
    fn user(&self) -> Option<&Arc<str>> {
        match self {
            Self::Robot(robot) | Self::Issued(_, Some(robot)) => robot.creator(),
            Self::Issued(claims, None) => claims.account(),
        }
    }

    /// The client, if its user has this `stamp`, or none at all.
    fn principal(self, stamp: Option<Stamp>) -> Result<Principal, Reason> {
        let is_good = match &self {
            Self::Robot(robot) | Self::Issued(_, Some(robot)) => robot.creator().is_none() || stamp.is_some(),
            Self::Issued(claims, None) => match claims.binding() {
                Binding::User(bound) => stamp == Some(bound),
                Binding::Time => true,
                Binding::Robot(..) => false,
            },
        };
        match (is_good, self) {
            (false, _) => Err(ended()),
            (true, Self::Robot(robot)) => Ok(Principal::with_robot(robot)),
            (true, Self::Issued(claims, robot)) => Ok(Principal::with_issued(claims, robot)),
        }
    }
}

async fn stamp_of(presented: &Presented, users: &Htpasswd) -> Option<Stamp> {
    users.stamp(presented.user()?).await
}

/// Verifies a signature without keeping an async thread from its other requests.
pub(crate) async fn off_thread<T: Send + 'static>(
    verify: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Reason> {
    match tokio::task::spawn_blocking(verify).await {
        Ok(verified) => verified.map_err(Reason::BadToken),
        Err(_panic) => Err(Reason::Failed),
    }
}

fn ended() -> Reason {
    Reason::BadToken(Rejection::Ended)
}
