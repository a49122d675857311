//! The accept loop: connections within limits, and draining at the end.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time};

use crate::{
    connection,
    connections::Connections,
    listen::{Acceptor, Listener},
    options::TransportOptions,
    socket::Socket,
    surface::Surface,
    transfers::Transfers,
};

/// Time between two searches for answers that are stalled for longer than allowed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// A surface, served on connections.
#[derive(Debug)]
pub struct Server<S> {
    surface: Arc<S>,
    options: Arc<TransportOptions>,
    transfers: Arc<Transfers>,
}

impl<S: Surface> Server<S> {
    /// A server on whose connections `surface` answers.
    pub fn new(surface: S, options: TransportOptions) -> Self {
        let budget = &options.budget;
        Self {
            surface: Arc::new(surface),
            transfers: Arc::new(Transfers::new(budget.transfers.clone(), budget.requests.clone())),
            options: Arc::new(options),
        }
    }

    /// Answers requests on `listener` until `shutdown` completes, then lets running requests
    /// finish for as long as [`Limits::drain`](crate::Limits::drain) allows. Returns how many connections had to be
    /// cut.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) -> usize {
        let (limits, share) = (self.options.limits, &self.options.budget.connections);
        let (drain, draining) = watch::channel(false);
        let sweep = async {
            let mut interval = time::interval(SWEEP_INTERVAL.min(limits.answer));
            loop {
                interval.tick().await;
                self.transfers.end_stalled(limits.answer);
            }
        };
        tokio::select! {
            () = shutdown => {}
            never = pin!(self.accept_all(listener.into_acceptor(limits.answer), &draining)) => match never {},
            never = sweep => match never {},
        }

        drain.send_replace(true);
        match share.wait(share.limit(), limits.drain).await {
            Ok(_none_is_open) => 0,
            Err(_elapsed) => share.used(),
        }
    }

    async fn accept_all(
        &self,
        mut acceptor: Acceptor,
        draining: &watch::Receiver<bool>,
    ) -> std::convert::Infallible {
        let share = self.options.budget.connections.clone();
        let per_address = self.options.limits.connections_per_address;
        let connections = Arc::new(Connections::new(share, per_address));
        loop {
            let make_room = || _ = connections.end_idle(None);
            let (socket, client): (Socket, Option<SocketAddr>) = acceptor.accept(make_room).await;
            let address = client.map(|client| client.ip());
            let Some(place) = connections.admit(address, &self.transfers).await else {
                continue;
            };
            let (surface, options) = (Arc::clone(&self.surface), Arc::clone(&self.options));
            let (transfers, draining) = (Arc::clone(&self.transfers), draining.clone());
            let accepted = connection::Accepted {
                socket,
                client,
                place,
            };
            tokio::spawn(connection::serve(surface, options, transfers, accepted, draining));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

    use bytes::Bytes;
    use http::{Response, request::Parts};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        sync::{Notify, oneshot},
    };

    use super::*;
    use crate::{
        access_log::AccessLog,
        context::RequestContext,
        handler::Handler,
        limits::Limits,
        listen::{ListenAddress, bind},
        metrics::{Exposition, HttpMetrics, Source as _},
    };

    static HANDLERS: [Handler; 1] = [Handler {
        index: 0,
        name: "greeting",
        route: "/{name}",
    }];

    /// Greets clients by the path of their request. A request for `/wait` is never answered, and `waiting` is notified.
    #[derive(Default)]
    struct Greeting {
        waiting: Arc<Notify>,
    }

    impl Surface for Greeting {
        type Body = Full<Bytes>;

        async fn respond(
            &self,
            context: &mut RequestContext,
            parts: Parts,
            _body: Incoming,
        ) -> Response<Full<Bytes>> {
            context.set_handler(&HANDLERS[0]);
            context.set_actor("alice".into());
            if parts.uri.path() == "/wait" {
                self.waiting.notify_one();
                std::future::pending::<()>().await;
            }
            Response::new(Full::new(Bytes::from(format!("hello {}", parts.uri.path()))))
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn send(address: &ListenAddress, path: &str) -> TcpStream {
        let mut client = TcpStream::connect(address.to_string()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    #[tokio::test]
    async fn a_request_to_any_surface_is_answered_logged_and_counted() {
        let (sink, metrics) = (Sink::default(), Arc::new(HttpMetrics::new(&HANDLERS)));
        let log = AccessLog::new(sink.clone()).unwrap();
        let options = TransportOptions {
            access_log: Some(log.clone()),
            metrics: Some(Arc::clone(&metrics)),
            ..TransportOptions::default()
        };
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.address().unwrap();
        let client = async {
            let mut answer = String::new();
            let mut stream = send(&address, "/bob").await;
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (done, is_done) = oneshot::channel::<()>();
        let server = Server::new(Greeting::default(), options);
        let serve = server.serve(listener, async { drop(is_done.await) });
        let (cut, answer) = tokio::join!(serve, async {
            let answer = client.await;
            done.send(()).unwrap();
            answer
        });
        assert_eq!(cut, 0);
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello /bob"),
            "{answer}"
        );

        assert!(log.flush(Duration::from_secs(60)));
        let lines = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(lines.starts_with("127.0.0.1 - alice ["), "{lines}");
        assert!(lines.contains("\"GET /bob HTTP/1.1\" 200 10 "), "{lines}");
        let mut page = Exposition::default();
        metrics.write(&mut page);
        let page = page.finish();
        for line in [
            "registry_http_requests_total{code=\"200\",handler=\"greeting\",method=\"get\"} 1",
            "registry_http_in_flight_requests{handler=\"greeting\"} 0",
            "registry_http_response_size_bytes_sum{handler=\"greeting\"} 10",
            "wharf_connections_total 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_when_the_server_has_drained() {
        let options = TransportOptions {
            limits: Limits {
                drain: Duration::from_millis(20),
                ..Limits::default()
            },
            ..TransportOptions::default()
        };
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.address().unwrap();
        let surface = Greeting::default();
        let waiting = Arc::clone(&surface.waiting);
        let client = std::sync::OnceLock::new();
        let shutdown = async {
            client.set(send(&address, "/wait").await).unwrap();
            waiting.notified().await;
        };
        assert_eq!(Server::new(surface, options).serve(listener, shutdown).await, 1);
    }
}
