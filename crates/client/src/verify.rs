//! Trying a login, before it is kept.

use crate::{Client, Error, PAGE_LIMIT, Result, challenge, credentials::Login};

/// What a registry says of a login.
#[derive(Debug)]
pub enum Verified {
    /// It accepts the login, and may give a refresh token to keep in place of the password.
    Accepted {
        /// The refresh token.
        refresh_token: Option<String>,
    },
    /// It asks for none, so nothing is known about the password.
    NotAsked,
}

impl Client {
    /// Tries `login` as `docker login` does: whether the registry lets it ask for the version of the API.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the registry, or its token server, does not accept the login, and when one of them does not
    /// answer as such.
    pub async fn verify(&self, login: &Login) -> Result<Verified> {
        const PATH: &str = "/v2/";
        let answer = self.send(PATH, None, PAGE_LIMIT).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            answer.successful(PATH)?;
            return Ok(Verified::NotAsked);
        }
        let unauthorized = || Error::Unauthorized {
            host: self.host.clone(),
            user: Some(login.user.clone()),
        };
        let logged_in = challenge::log_in(&self.wire, login, &answer).await?;
        let logged_in = logged_in.ok_or_else(unauthorized)?;
        let again = self.send(PATH, Some(logged_in.authorization), PAGE_LIMIT).await?;
        if again.status == http::StatusCode::UNAUTHORIZED {
            return Err(unauthorized());
        }
        again.successful(PATH)?;
        let refresh_token = logged_in.refresh_token;
        Ok(Verified::Accepted { refresh_token })
    }
}
