//! A server within this process. It changes no state of the process, so several may run side by side.

use anyhow::Context as _;
use tokio::{sync::oneshot, task::JoinHandle};
use wharf_http::ListenAddress;
use wharf_registry::Pace;

use crate::{
    config::{self, Settings},
    services::Services,
};

/// A server that answers requests. Dropping it stops it without waiting for running requests.
#[derive(Debug)]
pub struct Running {
    address: ListenAddress,
    debug_address: Option<ListenAddress>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<usize>,
}

/// Starts a server with the configuration in `configuration`, the text of a `config.yml`, and in the variables of
/// `environment`, on the Tokio runtime of the caller. The process's environment, signals and log are not touched.
///
/// # Errors
///
/// When the configuration has problems, all of which the error names, or when the store, the certificate, the
/// password file or a port cannot be opened.
pub async fn start(
    configuration: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Running> {
    serve(&config::parse(configuration, environment)?).await
}

/// As [`start`], at a pace at which nothing but tests may agree with a collector: on a bucket of a store that the test has started
/// on the same machine, see [`Pace::Quick`]. All servers of the bucket must have it.
///
/// # Errors
///
/// As [`start`].
#[doc(hidden)]
pub async fn start_quickly(
    configuration: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Running> {
    let mut settings = config::parse(configuration, environment)?;
    settings.registry.pace = Pace::Quick;
    serve(&settings).await
}

async fn serve(settings: &Settings) -> anyhow::Result<Running> {
    let services = Services::assemble(settings, None).await?;
    let (stop, stopped) = oneshot::channel();
    Ok(Running {
        address: services.address().clone(),
        debug_address: services.debug_address().cloned(),
        stop,
        served: tokio::spawn(services.serve(async {
            // An error means that `Running` was dropped, which stops the server, too.
            _ = stopped.await;
        })),
    })
}

impl Running {
    /// Address of the registry's listener, with the port that the kernel chose for port 0.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Address of the debug listener (`http.debug.addr`).
    pub fn debug_address(&self) -> Option<&ListenAddress> {
        self.debug_address.as_ref()
    }

    /// Stops accepting, lets running requests end within `http.draintimeout`, delivers waiting events and traces,
    /// and closes the store. Returns the number of connections that had to be cut.
    ///
    /// # Errors
    ///
    /// When the server panicked.
    pub async fn stop(self) -> anyhow::Result<usize> {
        // An error means that the server has ended already.
        _ = self.stop.send(());
        self.served.await.context("the server ended early")
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    const QUIET: &str = "version: 0.1\nlog: {accesslog: {disabled: true}}\nstorage: inmemory\n\
        http: {addr: '127.0.0.1:0', debug: {addr: '127.0.0.1:0'}}\n";

    async fn get(address: &ListenAddress, path: &str) -> String {
        let ListenAddress::Tcp(address) = address else {
            panic!("{address} is no TCP address")
        };
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn servers_run_side_by_side_and_close_their_ports_at_the_end() {
        let first = start(QUIET, []).await.unwrap();
        let header = ("REGISTRY_HTTP_HEADERS_X_SERVER".to_owned(), "second".to_owned());
        let second = start(QUIET, [header]).await.unwrap();
        assert!(!get(first.address(), "/v2/").await.contains("second"));
        assert!(get(second.address(), "/v2/").await.contains("X-Server: second"));
        let debug = second.debug_address().unwrap().clone();
        assert!(get(&debug, "/debug/health").await.ends_with("{}"));
        assert_eq!(second.stop().await.unwrap(), 0);
        let ListenAddress::Tcp(debug) = debug else {
            panic!("{debug} is no TCP address")
        };
        TcpStream::connect(debug).await.unwrap_err();
        assert!(get(first.address(), "/v2/").await.starts_with("HTTP/1.0 200"));
    }

    #[tokio::test]
    async fn the_debug_port_lists_all_workers() {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "{QUIET}auth: {{htpasswd: {{realm: r, path: {0}/htpasswd}}}}\n\
            health: {{file: [{{file: {0}/a, interval: 1h}}, {{file: {0}/htpasswd, interval: 10ms}}]}}\n\
            notifications: {{endpoints: [{{name: mail, url: 'http://127.0.0.1:9/'}}, {{url: 'http://u:pw@127.0.0.1:9/?k=v'}}]}}\n",
            directory.path().display()
        );
        let traces = ("OTEL_TRACES_EXPORTER".to_owned(), "otlp".to_owned());
        let server = start(&config, [traces]).await.unwrap();
        let debug = server.debug_address().unwrap().clone();
        let workers = loop {
            let answer = get(&debug, "/debug/workers").await;
            assert!(answer.contains("Content-Type: application/json"), "{answer}");
            let (_, page) = answer.split_once("\r\n\r\n").unwrap();
            let workers: Vec<serde_json::Value> = serde_json::from_str(page).unwrap();
            let is_settled =
                |worker: &serde_json::Value| worker["state"] == "idle" || worker["failures"] != 0;
            if workers.iter().all(is_settled) && workers.iter().any(|worker| worker["failures"] != 0) {
                break workers;
            }
        };
        let names: Vec<_> = workers
            .iter()
            .map(|worker| worker["name"].as_str().unwrap())
            .collect();
        let path = directory.path().display();
        let expected = [
            "sync of event queues",
            "webhook mail",
            "webhook http://127.0.0.1:9/…",
            "activity log",
            "trace export",
            "collector",
            "checker",
            "upload purge",
            "password memory",
            "refresh of the sessions of browsers",
            "upkeep of sessions",
            &format!("health check {path}/a"),
            &format!("health check {path}/htpasswd"),
        ];
        assert_eq!(names, expected);
        let failing = workers.last().unwrap();
        let error = failing["last_error"].as_str().unwrap();
        assert!(error.starts_with("file exists"), "{failing}");
        let purge = &workers[7];
        assert_eq!(purge["units"], 0, "{purge}");
        assert!(
            purge["last_error"].is_null() && purge["since"].is_string(),
            "{purge}"
        );
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_start_says_why() {
        let error = start("version: 0.1\nstorage: {}\n", []).await.unwrap_err();
        assert!(
            error.to_string().contains("`storage.filesystem` is missing"),
            "{error}"
        );
        let variable = ("OTEL_TRACES_EXPORTER".to_owned(), "jaeger".to_owned());
        let error = start(QUIET, [variable]).await.unwrap_err();
        assert!(
            error.to_string().contains("`OTEL_TRACES_EXPORTER` must be"),
            "{error}"
        );
    }
}
