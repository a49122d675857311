//! Where the credentials for one registry come from: places of docker's tools, or a program whose answer is kept for a
//! while.

use std::time::{Duration, Instant};

use crate::{
    Credentials, CredentialsError, Login,
    credentials::stored::{self, Helper},
};

/// Source of credentials.
#[derive(Debug)]
pub(crate) enum Logins {
    /// None: every request is anonymous.
    Anonymous,
    /// A user that was given, or configurations.
    Stored(Credentials),
    /// A program.
    Kept(Keeper),
}

/// A program, and what it has answered.
#[derive(Debug)]
pub(crate) struct Keeper {
    helper: Helper,
    /// Time for which an answer is used.
    lifetime: Duration,
    /// The last answer, and when it came. An asynchronous lock: requests that need it wait for the one that asks the program.
    answer: tokio::sync::Mutex<Option<(Instant, Login)>>,
}

impl Logins {
    /// A program, whose answer is used for `lifetime`.
    pub(crate) fn kept(helper: Helper, lifetime: Duration) -> Self {
        Self::Kept(Keeper {
            helper,
            lifetime,
            answer: tokio::sync::Mutex::default(),
        })
    }

    /// The credentials for `repository` of the registry at `host`; `None`: there are none, and requests are anonymous.
    ///
    /// # Errors
    /// When a configuration is damaged, or a helper fails.
    pub(crate) async fn find(
        &self,
        host: &str,
        repository: Option<&str>,
    ) -> Result<Option<Login>, CredentialsError> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Stored(credentials) => credentials.find(host, repository).await,
            Self::Kept(keeper) => keeper.find(host).await,
        }
    }

    /// Forgets what a program has answered: the registry refuses it, and a new answer may be another one.
    pub(crate) async fn refused(&self) {
        if let Self::Kept(keeper) = self {
            *keeper.answer.lock().await = None;
        }
    }
}

impl Keeper {
    async fn find(&self, host: &str) -> Result<Option<Login>, CredentialsError> {
        let mut answer = self.answer.lock().await;
        if let Some((came, login)) = &*answer
            && came.elapsed() < self.lifetime
        {
            return Ok(Some(login.clone()));
        }
        let found = self.helper.get(stored::key(host)).await?;
        *answer = found.clone().map(|login| (Instant::now(), login));
        Ok(found)
    }
}
