//! `wharf copy`, `wharf export`, `wharf import` and `wharf inventory`: images on their way.

mod copy;
mod export;
mod import;
mod inventory;
mod progress;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use wharf_client::{
    Address, Client, Credentials, Notices, Options,
    transfer::{Settings, WantedPlatform},
};

pub(crate) use self::{
    copy::{copy, is_of_digest, tell_left_out},
    export::export,
    import::import,
    inventory::inventory,
    progress::Shown,
};
use super::remote::{say, say_insecure};
use crate::cli::Connection;

/// Runs `work`, and drops it when the user or the system ends the command: what is half-written is removed then.
pub(in crate::cmd) fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    runtime.block_on(async {
        let mut ended = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; run the same command again to go on"),
            _ = ended.recv() => anyhow::bail!("ended; run the same command again to go on"),
        }
    })
}

/// Connects to a registry.
pub(in crate::cmd) async fn connect(
    address: &Address,
    connection: &Connection,
) -> anyhow::Result<Arc<Client>> {
    let insecure = connection.insecure.iter().any(|host| host == address.host());
    if insecure {
        say_insecure(address);
    }
    let options = Options {
        credentials: Credentials {
            given: None,
            directory: connection.config.clone(),
        },
        authorities: connection.cacert.clone(),
        insecure,
        notices: Notices::to(say),
    };
    Ok(Arc::new(Client::connect(address, options).await?))
}

fn settings(jobs: u8, referrers: bool, platforms: &[WantedPlatform]) -> Settings {
    Settings {
        jobs: usize::from(jobs),
        referrers,
        platforms: platforms.to_vec(),
    }
}
