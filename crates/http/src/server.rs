//! The accept loop: connections within limits, and draining at the end.

use std::{pin::pin, sync::Arc};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time,
};

use crate::{connection, listen::Listener, options::TransportOptions, surface::Surface};

/// A surface, served on connections.
#[derive(Debug)]
pub struct Server<S> {
    surface: Arc<S>,
    options: Arc<TransportOptions>,
}

impl<S: Surface> Server<S> {
    /// A server on whose connections `surface` answers.
    pub fn new(surface: S, options: TransportOptions) -> Self {
        Self {
            surface: Arc::new(surface),
            options: Arc::new(options),
        }
    }

    /// Answers what comes in on `listener` until `shutdown` completes, then lets running requests
    /// finish for as long as [`Limits::drain`](crate::Limits::drain) allows. Returns how many connections had to be
    /// cut.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) -> usize {
        let limits = self.options.limits;
        let slots = Arc::new(Semaphore::new(limits.connections));
        let (drain, draining) = watch::channel(false);
        let accept_all = async {
            let mut acceptor = listener.into_acceptor();
            loop {
                let slot = acquire(&slots).await;
                let (socket, client) = acceptor.accept().await;
                let (surface, options) = (Arc::clone(&self.surface), Arc::clone(&self.options));
                let draining = draining.clone();
                tokio::spawn(async move {
                    connection::serve(surface, options, (socket, client), draining).await;
                    drop(slot);
                });
            }
        };
        tokio::select! {
            () = shutdown => {}
            never = pin!(accept_all) => match never {},
        }

        drain.send_replace(true);
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        match time::timeout(limits.drain, slots.acquire_many(all)).await {
            Ok(_all_slots) => 0,
            Err(_elapsed) => limits.connections - slots.available_permits(),
        }
    }
}

/// A slot for one more connection; says so once when all are taken.
async fn acquire(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Some(slot);
    }
    tracing::warn!("all connections that the limit allows are in use; new ones wait");
    Arc::clone(slots).acquire_owned().await.ok()
}
