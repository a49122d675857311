//! A port that leads to a server which starts later, so that two servers can be configured with each other's address.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// It ends when dropped.
pub(super) struct Forwarder {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Forwarder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(OnceLock::new());
        let connections = Arc::new(AtomicUsize::new(0));
        let (to, count) = (Arc::clone(&target), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let to = *to.get().expect("the server has started");
                running.spawn(async move {
                    let mut server = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self {
            address,
            target,
            connections,
            task,
        }
    }

    /// The URL of the port.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server that the port leads to from now on.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        self.target.set(server).unwrap();
    }

    /// Number of connections so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}
