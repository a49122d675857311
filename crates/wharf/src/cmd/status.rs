//! `wharf status`: how a registry is, on one screen.

mod attention;
mod screen;

use std::process::ExitCode;

use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use wharf_client::{Abilities, Address, control::ControlError};
use wharf_server::admin::wire;

use super::{
    healthcheck,
    reached::{Reached, reach},
    remote::{print, print_json},
};
use crate::{
    cli,
    config::{self, Listen},
    control::RunningServer,
};

/// Repositories of which the disk use is looked at for damage, the largest ones.
const REPOSITORIES: &str = "1000";

/// How a registry is, as `--json` prints it. What is `null` is not known, or does not exist there.
#[derive(Debug, Default, Serialize)]
struct State {
    /// Host and port, or `this machine`.
    registry: String,
    /// What it is: `wharf`, or `registry` for another one.
    kind: &'static str,
    /// Whether nothing needs attention.
    well: bool,
    /// What needs attention, each with what to do.
    attention: Vec<String>,
    /// Why less is known than could be.
    note: Option<String>,
    server: Option<wire::Server>,
    usage: Option<wire::Usage>,
    collections: Option<wire::Collections>,
    retention: Option<wire::ConfiguredRetention>,
    abilities: Option<Known>,
}

/// What a registry can do.
#[derive(Debug, Serialize)]
struct Known {
    api: Option<String>,
    login: &'static str,
    lists_repositories: Option<bool>,
    lists_referrers: Option<bool>,
    deletes: Option<bool>,
}

/// Shows how a registry is.
pub(crate) fn run(arguments: &cli::Status) -> anyhow::Result<ExitCode> {
    let place = arguments.registry.as_ref().or(arguments.server.server.as_ref());
    let mut state = match place {
        Some(address) => elsewhere(address, arguments)?,
        None => here(arguments)?,
    };
    state.attention.extend(attention::of(&state));
    state.well = state.attention.is_empty();
    match arguments.form.is_json() {
        true => print_json(&format!("{:#}\n", serde_json::to_value(&state)?))?,
        false => print(&screen::of(&state))?,
    }
    Ok(match state.well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The registry of this machine, at its control socket.
fn here(arguments: &cli::Status) -> anyhow::Result<State> {
    let settings = config::load(arguments.server.config.as_deref())?;
    let mut state = State {
        registry: "this machine".to_owned(),
        kind: "wharf",
        ..State::default()
    };
    match RunningServer::find(&settings)? {
        Some(server) => ask(&server, &mut state)?,
        None => state.attention.push(silent(&settings.listen)),
    }
    Ok(state)
}

/// Why a server has no control socket.
fn silent(listen: &Listen) -> String {
    match healthcheck::answer(listen) {
        Ok(_) => "a server answers at the address of the configuration, but it has no control socket here: it runs with another \
                  configuration, or without `admin.socket`"
            .to_owned(),
        Err(error) => format!("no server runs here: {error:#}"),
    }
}

/// A registry at an address.
fn elsewhere(address: &Address, arguments: &cli::Status) -> anyhow::Result<State> {
    let mut state = State {
        registry: address.host().to_owned(),
        kind: "wharf",
        ..State::default()
    };
    match reach(address, arguments.server.remote())? {
        Reached::Wharf(server) => ask(&server, &mut state)?,
        Reached::Other(other) => {
            state.kind = "registry";
            let abilities = other.client.abilities(None, true);
            let abilities = other.runtime.block_on(abilities)?;
            state.note = Some(
                "no wharf, or not for this user: health, space and what runs by itself are not known"
                    .to_owned(),
            );
            state.abilities = Some(known(abilities));
        }
    }
    Ok(state)
}

fn known(abilities: Abilities) -> Known {
    Known {
        api: abilities.version,
        login: abilities.gate.as_str(),
        lists_repositories: abilities.lists_repositories,
        lists_referrers: abilities.lists_referrers,
        deletes: abilities.deletes,
    }
}

/// Asks a wharf for what its administrators may know.
fn ask(server: &RunningServer, state: &mut State) -> anyhow::Result<()> {
    state.server = match server.ask::<wire::Server>(Method::GET, "/server", &[]) {
        Ok(told) => Some(told),
        // It is well enough to say so.
        Err(error) if error.is("forbidden") => {
            state.note = Some(format!("{error}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    state.usage = optional(server, "/usage", &[("limit", REPOSITORIES)])?;
    state.collections = optional(server, "/collections", &[])?;
    state.retention = optional(server, "/retention", &[])?;
    Ok(())
}

/// What the server tells of a part that it may be without.
fn optional<T: DeserializeOwned>(
    server: &RunningServer,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Option<T>, ControlError> {
    match server.ask(Method::GET, path, query) {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.is("no-collector") => Ok(None),
        Err(error) => Err(error),
    }
}
