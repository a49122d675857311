//! Several servers on one bucket, behind a balancer that sends each request to another one.

use std::path::{Path, PathBuf};

use crate::{
    Client, Launcher, Server,
    bucket::{BucketStore, Files},
    nginx,
    proxy::Proxy,
    suite::Part,
    tls::Wanted,
};

/// Running replicas. Dropping them ends the balancer first, and the store last.
#[derive(Debug)]
pub struct Replicas {
    balancer: Proxy,
    servers: Vec<Server>,
    store: BucketStore,
}

impl Replicas {
    /// What this needs.
    pub const NEEDS: [Part; 2] = [Part::Bucket, Part::Program("nginx")];

    /// Directory in the bucket.
    const DIRECTORY: &'static str = "some/where";

    /// Starts `count` servers with these lines of configuration.
    ///
    /// # Panics
    ///
    /// When a program is not installed or does not start.
    pub fn start(launcher: &Path, count: usize, lines: &[&str]) -> Self {
        let store = BucketStore::of_this_run();
        let servers: Vec<Server> = (0..count)
            .map(|_| {
                let builder = Server::builder(Launcher::Binary(launcher.to_owned()));
                let builder = builder.bucket(&store, Self::DIRECTORY).unix();
                let builder = lines.iter().fold(builder, |builder, line| builder.config(*line));
                builder.storage("delete: {enabled: true}").start()
            })
            .collect();
        let sockets: Vec<PathBuf> = servers.iter().map(|server| server.socket().to_owned()).collect();
        let balancer = nginx::balance(&sockets, &Wanted::localhost().self_signed());
        Self {
            balancer,
            servers,
            store,
        }
    }

    /// Host and port of the balancer.
    pub fn authority(&self) -> String {
        self.balancer.address().to_string()
    }

    /// A client of the balancer, without credentials.
    pub fn client(&self) -> Client {
        Client::http1(self.balancer.address())
    }

    /// The replicas, one by one.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The store that they share.
    pub fn store(&self) -> &BucketStore {
        &self.store
    }

    /// Kills the replica with this number (`kill -9`).
    pub fn kill9(&mut self, number: usize) {
        self.servers[number].kill9();
    }

    /// Starts a replica again that was killed.
    pub fn start_again(&mut self, number: usize) {
        self.servers[number].start_again();
    }

    /// The registry in the layout of registry:2, as it is now.
    pub fn files(&self) -> Files {
        self.store.files_of(Self::DIRECTORY)
    }
}
