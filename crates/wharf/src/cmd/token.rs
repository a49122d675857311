//! `wharf token`: makes, lists, rotates and revokes robot tokens in the store of the configuration.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::SystemTime,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::runtime;
use wharf_access::robot::{Listed, Robots, Secret, VERBS, Wanted};
use wharf_storage::Storage;

use super::offline::{self, Work};
use crate::{
    cli::{Token, TokenPlace},
    config::{self, Engine, Settings},
};

const WORK: Work = Work {
    cannot: "cannot open the store of the tokens",
    cannot_read: "cannot open the store of the tokens; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot change tokens in a directory that a server uses",
    instead: "stop it for a moment",
    in_memory: "keeps them in the memory of the server, and loses them when the server stops",
};

pub(crate) fn run(command: &Token) -> anyhow::Result<()> {
    let place = place(command);
    let settings = config::load(place.config.as_deref())?;
    crate::log::start(settings.log.clone())?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let storage = open(&settings, matches!(command, Token::Ls { .. })).await?;
        let robots = Robots::new(&storage);
        robots
            .refresh()
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let text = answer(command, &robots, SystemTime::now()).await?;
        if settings.tokens.is_none() {
            note("the registry takes tokens once `access.tokens.enabled: true` is in its configuration")?;
        }
        writeln!(io::stdout(), "{text}").context("cannot write to standard output")
    })
}

/// Does what the command says to the tokens of a registry, and returns what it prints.
pub(crate) async fn answer(command: &Token, robots: &Robots, now: SystemTime) -> anyhow::Result<String> {
    let is_json = place(command).json;
    Ok(match command {
        Token::Create {
            name,
            repositories,
            allow,
            expires,
            ..
        } => {
            let wanted = Wanted {
                name: name.clone(),
                repositories: repositories.clone(),
                verbs: *allow,
                // The right to the files is that of the operator.
                creator: None,
                lifetime: expires.0,
            };
            let (secret, listed) = robots.create(&wanted, now).await?;
            shown(&secret, &listed, is_json)?
        }
        Token::Rotate { token, expires, .. } => {
            let (secret, listed) = robots.rotate(token, *expires, now).await?;
            shown(&secret, &listed, is_json)?
        }
        Token::Revoke { token, .. } => {
            let listed = robots.revoke(token, now).await?;
            match is_json {
                true => described(&listed).to_string(),
                false => format!(
                    "revoked token `{}`; it is refused within 10 s at every server",
                    listed.robot.name()
                ),
            }
        }
        Token::Ls { .. } => {
            let list = robots.list(now);
            match is_json {
                true => Value::from_iter(list.iter().map(described)).to_string(),
                false => table(&list),
            }
        }
    })
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
fn shown(secret: &Secret, listed: &Listed, is_json: bool) -> anyhow::Result<String> {
    if is_json {
        let mut value = described(listed);
        value["token"] = secret.expose().into();
        return Ok(value.to_string());
    }
    let robot = &listed.robot;
    note(&format!(
        "token `{}` ({}) for {} in {}, until {}; it is shown once and kept nowhere",
        robot.name(),
        robot.id(),
        actions(listed).join(" and "),
        repositories(listed).join(" "),
        robot.expires().map_or_else(|| "it is revoked".to_owned(), time),
    ))?;
    Ok(secret.expose().to_owned())
}

fn table(list: &[Listed]) -> String {
    let head = [
        "NAME",
        "ID",
        "REPOSITORIES",
        "ACTIONS",
        "CREATOR",
        "EXPIRES",
        "LAST USE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(list.iter().map(|listed| {
        let robot = &listed.robot;
        let expires = match (listed.is_expired, robot.expires()) {
            (true, _) => "expired".to_owned(),
            (false, Some(expires)) => time(expires),
            (false, None) => "never".to_owned(),
        };
        [
            robot.name().to_owned(),
            robot.id().to_string(),
            repositories(listed).join(" "),
            actions(listed).join(","),
            robot
                .creator()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
            expires,
            listed.used.map_or_else(|| "never".to_owned(), time),
        ]
    }));
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A token as JSON, without its secret.
fn described(listed: &Listed) -> Value {
    let robot = &listed.robot;
    json!({
        "name": robot.name(),
        "id": robot.id().to_string(),
        "repositories": repositories(listed),
        "actions": actions(listed),
        "creator": robot.creator().map(ToString::to_string),
        "created": time(robot.created()),
        "expires": robot.expires().map(time),
        "expired": listed.is_expired,
        "last_use": listed.used.map(time),
    })
}

fn repositories(listed: &Listed) -> Vec<String> {
    listed
        .robot
        .repositories()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn actions(listed: &Listed) -> Vec<&'static str> {
    let verbs = VERBS.into_iter().filter(|verb| listed.robot.verbs().has(*verb));
    verbs.map(wharf_access::Verb::as_str).collect()
}

/// A time in seconds since 1970, as RFC 3339.
fn time(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    time.unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Says something to the operator that is not for a pipe.
fn note(text: &str) -> anyhow::Result<()> {
    writeln!(io::stderr(), "{text}").context("cannot write to standard error")
}

#[cfg(test)]
mod tests {
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

    async fn said(line: &str, robots: &Robots) -> anyhow::Result<Value> {
        let text = answer(&command(&format!("{line} --json")), robots, SystemTime::now()).await?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[tokio::test]
    async fn a_token_is_made_listed_rotated_and_revoked() {
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let robots = Robots::new(&storage);
        let made = said(
            "create ci --repo team/** --repo shared/* --allow pull,push --expires 90d",
            &robots,
        )
        .await
        .unwrap();
        let first = made["token"].as_str().unwrap().to_owned();
        assert!(robots.recognise(first.as_bytes(), SystemTime::now()).is_some());
        let list = said("ls", &robots).await.unwrap();
        assert_eq!(list[0]["repositories"], json!(["team/**", "shared/*"]));
        assert_eq!(list[0]["actions"], json!(["pull", "push"]));
        assert!(list[0].get("token").is_none() && list[0]["last_use"].is_string());
        let text = answer(&command("ls"), &robots, SystemTime::now()).await.unwrap();
        assert!(text.lines().nth(1).unwrap().starts_with("ci "), "{text}");
        let rotated = said("rotate ci", &robots).await.unwrap();
        assert_ne!(rotated["token"], made["token"]);
        assert!(robots.recognise(first.as_bytes(), SystemTime::now()).is_none());
        said("revoke ci", &robots).await.unwrap();
        let error = said("revoke ci", &robots).await.unwrap_err().to_string();
        assert!(error.contains("there is no token"), "{error}");
        assert_eq!(said("ls", &robots).await.unwrap(), json!([]));
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
