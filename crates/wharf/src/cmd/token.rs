//! `wharf token`: makes, lists, rotates and revokes robot tokens, through the server that runs, or else in the store of the
//! configuration.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};
use wharf_access::{
    robot::{Robots, VERBS},
    rules::Verbs,
};
use wharf_client::control::ControlError;
use wharf_server::admin::{Tokens, wire};
use wharf_storage::Storage;

use super::{
    offline::{self, Work},
    table,
};
use crate::{
    cli::{Token, TokenPlace},
    config::{self, Engine, Settings},
    control::RunningServer,
};

const WORK: Work = Work {
    cannot: "cannot open the store of the tokens",
    cannot_read: "cannot open the store of the tokens; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot change tokens in a directory that a server uses, and that server has no control socket that takes them",
    instead: "stop it for a moment",
    in_memory: "keeps them in the memory of the server, and loses them when the server stops",
};

/// The tokens that a command is for.
enum Keeper {
    /// Those in a store, which the command changes itself.
    Store(Tokens, Runtime),
    /// Those of a server that runs.
    Server(RunningServer),
}

pub(crate) fn run(command: &Token) -> anyhow::Result<()> {
    let place = place(command);
    let settings = config::load(place.config.as_deref())?;
    crate::log::start(settings.log.clone())?;
    let keeper = Keeper::of(&settings, matches!(command, Token::Ls { .. }))?;
    let text = answer(command, &keeper)?;
    if settings.tokens.is_none() {
        note("the registry takes tokens once `access.tokens.enabled: true` is in its configuration")?;
    }
    writeln!(io::stdout(), "{text}").context("cannot write to standard output")
}

/// Revokes the tokens in the store of the configuration that the user `creator` has made, and gives their names: also while the
/// registry takes no tokens, for it may take them again. Another process need not stop for that if there are none.
///
/// # Errors
///
/// When the store cannot be opened, read or changed.
pub(super) fn revoke_of(creator: &str, settings: &Settings) -> anyhow::Result<Vec<String>> {
    let is_known = match &settings.storage {
        Engine::InMemory => false,
        // Before the first start of the server.
        Engine::Filesystem { root } => root.exists(),
        Engine::S3(_) | Engine::Cloud(_) => true,
    };
    if !is_known {
        return Ok(Vec::new());
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let found = Tokens::in_store(Robots::new(&open(settings, true).await?));
        if found.list(Some(creator)).await?.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = Tokens::in_store(Robots::new(&open(settings, false).await?));
        Ok(tokens.revoke_of(creator).await?)
    })
}

/// Does what the command says to the tokens of a registry, and returns what it prints.
fn answer(command: &Token, keeper: &Keeper) -> anyhow::Result<String> {
    let is_json = place(command).json;
    Ok(match command {
        Token::Create {
            name,
            repositories,
            allow,
            expires,
            ..
        } => {
            let lifetime = expires.0.map(|lifetime| lifetime.as_secs());
            let wanted = wire::NewToken {
                name: name.clone(),
                repositories: repositories.iter().map(ToString::to_string).collect(),
                actions: Some(names(*allow)),
                expires: lifetime.is_none().then(|| "never".to_owned()),
                lifetime,
            };
            shown(&keeper.create(wanted)?, is_json)?
        }
        Token::Rotate { token, expires, .. } => {
            let rotation = wire::Rotation {
                expires: None,
                lifetime: expires.map(|lifetime| lifetime.as_secs()),
            };
            shown(&keeper.rotate(token, rotation)?, is_json)?
        }
        Token::Revoke { token, .. } => {
            let revoked = keeper.revoke(token)?;
            match is_json {
                true => described(&revoked).to_string(),
                false => format!(
                    "revoked token `{}`; it is refused within 10 s at every server",
                    revoked.name
                ),
            }
        }
        Token::Ls { .. } => {
            let list = keeper.list()?;
            match is_json {
                true => Value::from_iter(list.iter().map(described)).to_string(),
                false => table(&list),
            }
        }
    })
}

impl Keeper {
    /// The running server, or else the store of the configuration. A server that takes no tokens leaves them to the command.
    fn of(settings: &Settings, only_to_read: bool) -> anyhow::Result<Self> {
        if let Some(server) = RunningServer::find(settings)? {
            match page(&server, None) {
                Ok(_) => return Ok(Self::Server(server)),
                Err(error) if error.is("no-tokens") => {}
                Err(error) => return Err(error.into()),
            }
        }
        let runtime = runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("cannot start")?;
        let storage = runtime.block_on(open(settings, only_to_read))?;
        Ok(Self::Store(Tokens::in_store(Robots::new(&storage)), runtime))
    }

    fn list(&self) -> anyhow::Result<Vec<wire::Token>> {
        match self {
            Self::Store(tokens, runtime) => Ok(runtime.block_on(tokens.list(None))?),
            Self::Server(server) => {
                let mut found = page(server, None)?;
                let mut all = found.tokens;
                while let Some(next) = found.next {
                    found = page(server, Some(&next))?;
                    all.append(&mut found.tokens);
                }
                Ok(all)
            }
        }
    }

    /// Makes a token of the operator: the right to the files, or to the socket, is the right to all.
    fn create(&self, wanted: wire::NewToken) -> anyhow::Result<wire::IssuedToken> {
        Ok(match self {
            Self::Store(tokens, runtime) => runtime.block_on(tokens.create(wanted, None))?,
            Self::Server(server) => server.tell(Method::POST, "/tokens", &[], &wanted)?,
        })
    }

    fn rotate(&self, which: &str, rotation: wire::Rotation) -> anyhow::Result<wire::IssuedToken> {
        Ok(match self {
            Self::Store(tokens, runtime) => runtime.block_on(tokens.rotate(which, rotation, None))?,
            Self::Server(server) => {
                server.tell(Method::POST, "/tokens/rotate", &[("token", which)], &rotation)?
            }
        })
    }

    fn revoke(&self, which: &str) -> anyhow::Result<wire::Token> {
        Ok(match self {
            Self::Store(tokens, runtime) => runtime.block_on(tokens.revoke(which, None))?,
            Self::Server(server) => server.ask(Method::DELETE, "/tokens", &[("token", which)])?,
        })
    }
}

fn page(server: &RunningServer, cursor: Option<&str>) -> Result<wire::TokenPage, ControlError> {
    let mut query = vec![("limit", "1000")];
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    server.ask(Method::GET, "/tokens", &query)
}

/// The store of the configuration. A directory has one process that writes; a bucket may have several.
async fn open(settings: &Settings, only_to_read: bool) -> anyhow::Result<Arc<dyn Storage>> {
    match &settings.storage {
        Engine::Filesystem { .. } if !only_to_read => offline::open(&settings.storage, &WORK).await,
        engine => offline::open_to_read(engine, &WORK).await,
    }
}

fn place(command: &Token) -> &TokenPlace {
    let (Token::Create { place, .. }
    | Token::Ls { place }
    | Token::Revoke { place, .. }
    | Token::Rotate { place, .. }) = command;
    place
}

/// The token alone on standard output, for a pipe into `docker login --password-stdin`; what it is for beside it.
fn shown(issued: &wire::IssuedToken, is_json: bool) -> anyhow::Result<String> {
    let wire::IssuedToken { token, secret } = issued;
    if is_json {
        let mut value = described(token);
        value["token"] = secret.0.as_str().into();
        return Ok(value.to_string());
    }
    note(&format!(
        "token `{}` ({}) for {} in {}, until {}; it is shown once and kept nowhere",
        token.name,
        token.id,
        token.actions.join(" and "),
        token.repositories.join(" "),
        token.expires.as_deref().unwrap_or("it is revoked"),
    ))?;
    Ok(secret.0.clone())
}

fn table(list: &[wire::Token]) -> String {
    let rows = list.iter().map(|token| {
        let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
        [
            token.name.clone(),
            token.id.clone(),
            token.repositories.join(" "),
            token.actions.join(","),
            or(&token.creator, "-"),
            match token.state {
                wire::TokenState::Expired => "expired".to_owned(),
                wire::TokenState::Active => or(&token.expires, "never"),
            },
            or(&token.last_use, "never"),
        ]
    });
    let head = [
        "NAME",
        "ID",
        "REPOSITORIES",
        "ACTIONS",
        "CREATOR",
        "EXPIRES",
        "LAST USE",
    ];
    table::aligned(head, rows)
}

/// A token as JSON, without its secret.
fn described(token: &wire::Token) -> Value {
    json!({
        "name": token.name,
        "id": token.id,
        "repositories": token.repositories,
        "actions": token.actions,
        "creator": token.creator,
        "created": token.created,
        "expires": token.expires,
        "expired": token.state == wire::TokenState::Expired,
        "last_use": token.last_use,
    })
}

fn names(verbs: Verbs) -> Vec<String> {
    let verbs = VERBS.into_iter().filter(|verb| verbs.has(*verb));
    verbs.map(|verb| verb.as_str().to_owned()).collect()
}

/// Says something to the operator that is not for a pipe.
fn note(text: &str) -> anyhow::Result<()> {
    writeln!(io::stderr(), "{text}").context("cannot write to standard error")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use clap::Parser as _;
    use wharf_storage::object::ObjectStorage;

    use super::*;
    use crate::cli::{Cli, Command};

    fn command(line: &str) -> Token {
        let words = line.split(' ');
        match Cli::try_parse_from(["wharf", "token"].into_iter().chain(words))
            .unwrap()
            .command
        {
            Command::Token { command } => command,
            other => panic!("{other:?}"),
        }
    }

    fn said(line: &str, keeper: &Keeper) -> anyhow::Result<Value> {
        let text = answer(&command(&format!("{line} --json")), keeper)?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_token_is_made_listed_rotated_and_revoked() {
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let robots = Robots::new(&storage);
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let keeper = Keeper::Store(Tokens::in_store(robots.clone()), runtime);
        let made = said(
            "create ci --repo team/** --repo shared/* --allow pull,push --expires 90d",
            &keeper,
        )
        .unwrap();
        let first = made["token"].as_str().unwrap().to_owned();
        assert!(robots.recognise(first.as_bytes(), SystemTime::now()).is_some());
        let list = said("ls", &keeper).unwrap();
        assert_eq!(list[0]["repositories"], json!(["team/**", "shared/*"]));
        assert_eq!(list[0]["actions"], json!(["pull", "push"]));
        assert!(list[0].get("token").is_none() && list[0]["last_use"].is_string());
        let text = answer(&command("ls"), &keeper).unwrap();
        assert!(text.lines().nth(1).unwrap().starts_with("ci "), "{text}");
        let rotated = said("rotate ci", &keeper).unwrap();
        assert_ne!(rotated["token"], made["token"]);
        assert!(robots.recognise(first.as_bytes(), SystemTime::now()).is_none());
        said("revoke ci", &keeper).unwrap();
        let error = said("revoke ci", &keeper).unwrap_err().to_string();
        assert!(error.contains("there is no token"), "{error}");
        assert_eq!(said("ls", &keeper).unwrap(), json!([]));
    }

    #[test]
    fn what_no_token_can_be_for_is_refused() {
        for line in [
            "create ci",
            "create ci --repo a//b",
            "create ci --repo a --allow admin",
            "create ci --repo a --allow pull,",
            "create ci --repo a --expires soon",
        ] {
            let words = line.split(' ');
            assert!(
                Cli::try_parse_from(["wharf", "token"].into_iter().chain(words)).is_err(),
                "{line}"
            );
        }
    }
}
