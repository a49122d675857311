//! What a registry can do, found out by asking it.

use http::StatusCode;

use crate::{Client, Error, PAGE_LIMIT, Result, Target, challenge, deletion::unknown_digest, wire::Answer};

/// What a registry can do. `None`: it cannot be found out without a login, or because no repository is known to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Version of the API that it names, such as `registry/2.0`.
    pub version: Option<String>,
    /// The login that it requires.
    pub gate: Gate,
    /// Whether it lists its repositories to this user.
    pub lists_repositories: Option<bool>,
    /// Whether it lists what refers to a manifest; otherwise clients keep these lists at tags.
    pub lists_referrers: Option<bool>,
    /// Whether it deletes.
    pub deletes: Option<bool>,
}

/// The login that a registry requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// None
    Open,
    /// User name and password with each request
    Basic,
    /// A token of a token server
    Bearer,
    /// Another one, which this client does not know
    Other,
}

impl Gate {
    /// The login as commands print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "none",
            Self::Basic => "basic",
            Self::Bearer => "token",
            Self::Other => "other",
        }
    }
}

impl Client {
    /// Asks the registry what it can do, and changes nothing there. Lists of referrers and deletions are asked about in `repository`, or in
    /// the first one that the registry lists; `may_delete` says whether a deletion of nothing may be asked for.
    ///
    /// # Errors
    /// When the registry does not answer, or refuses the login that there is.
    pub async fn abilities(&self, repository: Option<&str>, may_delete: bool) -> Result<Abilities> {
        let welcome = self.send("/v2/", None, PAGE_LIMIT).await?;
        let gate = gate(&welcome);
        let name = http::HeaderName::from_static("docker-distribution-api-version");
        let version = welcome.header(&name).map(str::to_owned);
        if gate != Gate::Open {
            let target = Target::new("/v2/".to_owned(), String::new(), None);
            match self.get(&target, &target.path, PAGE_LIMIT).await {
                Err(Error::Unauthorized { user: None, .. }) => {
                    return Ok(Abilities {
                        version,
                        gate,
                        lists_repositories: None,
                        lists_referrers: None,
                        deletes: None,
                    });
                }
                answer => answer?,
            };
        }
        let listed = self.first_repositories().await;
        let first = listed.as_ref().ok().and_then(|names| names.first());
        let asked = repository.or(first.map(String::as_str));
        Ok(Abilities {
            version,
            gate,
            lists_repositories: Some(listed.is_ok()),
            lists_referrers: match asked {
                Some(repository) => self.lists_referrers(repository).await?,
                None => None,
            },
            deletes: match asked.filter(|_| may_delete) {
                // A user that may not delete cannot find out.
                Some(repository) => self.deletes(repository).await.ok(),
                None => None,
            },
        })
    }

    /// Whether the registry lists referrers by itself; `None`: the user may not read the repository.
    async fn lists_referrers(&self, repository: &str) -> Result<Option<bool>> {
        let target = Target::pull(repository, &format!("referrers/{}", unknown_digest()));
        match self.get(&target, &target.path, PAGE_LIMIT).await {
            Ok(_) => Ok(Some(true)),
            Err(
                Error::Unauthorized { .. }
                | Error::MissingRight { .. }
                | Error::Refused {
                    status: StatusCode::FORBIDDEN,
                    ..
                },
            ) => Ok(None),
            Err(Error::Refused { .. }) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }
}

fn gate(welcome: &Answer) -> Gate {
    if welcome.status != StatusCode::UNAUTHORIZED {
        return Gate::Open;
    }
    let schemes = challenge::schemes(welcome);
    let offers = |wanted: &str| schemes.iter().any(|scheme| scheme == wanted);
    match (offers("bearer"), offers("basic")) {
        (true, _) => Gate::Bearer,
        (false, true) => Gate::Basic,
        (false, false) => Gate::Other,
    }
}
