//! The interface to systemd: it opens the sockets, and gets notifications of the state.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixDatagram},
};

use wharf_testkit::{
    Client, PATIENCE, ServerBuilder,
    suite::{Part, Suite},
};

use crate::{refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(suite, &[], [notify_says_ready_alive_and_stopping]);
    stories!(
        suite,
        &[Part::Program("python3")],
        [
            activation_serves_the_socket_that_was_passed,
            activation_of_another_process_is_ignored,
            activation_with_two_sockets_is_refused,
        ]
    );
}

/// Opens sockets as systemd would, and executes the rest of the command line.
const ACTIVATOR: &str = r#"
import os, socket, sys
kinds, pid, words = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
sockets = []
for kind in kinds:
    family = {"4": socket.AF_INET, "6": socket.AF_INET6, "u": socket.AF_UNIX, "d": socket.AF_INET}[kind]
    made = socket.socket(family, socket.SOCK_DGRAM if kind == "d" else socket.SOCK_STREAM)
    made.bind({"4": ("127.0.0.1", 0), "6": ("::1", 0), "u": "passed", "d": ("127.0.0.1", 0)}[kind])
    if kind != "d":
        made.listen()
    sockets.append(made)
# Out of the way first: what is made may already lie where it has to go.
spare = [os.dup(made.fileno()) for made in sockets]
spare = [os.dup(fd) if fd < 10 else fd for fd in spare]
for at, fd in enumerate(spare):
    os.dup2(fd, 3 + at, inheritable=True)
os.environ["LISTEN_FDS"] = str(len(kinds))
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
os.execv(words[0], words)
"#;

fn activated(builder: ServerBuilder, kinds: &str, pid: &str) -> ServerBuilder {
    builder.wrapped(&["python3", "-c", ACTIVATOR, kinds, pid])
}

async fn activation_serves_the_socket_that_was_passed(builder: ServerBuilder) {
    // The configured address is ignored, even if it could not be used.
    let builder = builder.environment("REGISTRY_HTTP_ADDR", "192.0.2.1:1");
    let server = activated(builder, "4", "own").start();
    server.anonymous().get("/v2/").await.expect(200);

    // A unit without an address, `ListenStream=5000`, passes a socket of this family.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let server = activated(server.another(), "6", "own").start();
        assert!(server.address().is_ipv6());
        server.anonymous().get("/v2/").await.expect(200);
    }

    let mut unix = activated(server.another(), "u", "own").start();
    assert_eq!(unix.socket().to_str(), Some("passed"));
    let client = Client::unix(&unix.path("passed"));
    client.get("/v2/").await.expect(200);
    unix.stop();
    assert!(unix.path("passed").exists(), "the socket is systemd's");
}

async fn activation_of_another_process_is_ignored(builder: ServerBuilder) {
    let server = activated(builder, "u", "1").start();
    server.anonymous().get("/v2/").await.expect(200);
}

async fn activation_with_two_sockets_is_refused(builder: ServerBuilder) {
    let two = activated(builder.another(), "4,u", "own");
    refuses_to_start(
        &two,
        "2 sockets were passed by systemd, and only one can be served",
    );
    let datagrams = activated(builder, "d", "own");
    refuses_to_start(&datagrams, "neither a TCP socket nor a unix stream socket");
}

/// The next message to the service manager.
fn heard(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = manager.recv(&mut buffer).expect("the server says something");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn notify_says_ready_alive_and_stopping(builder: ServerBuilder) {
    let by_path = builder.path("notify");
    let name = format!("wharf-test-{}-{}", std::process::id(), by_path.display());
    let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
    for (manager, variable) in [
        (
            UnixDatagram::bind(&by_path).unwrap(),
            by_path.display().to_string(),
        ),
        (
            UnixDatagram::bind_addr(&abstract_address).unwrap(),
            format!("@{name}"),
        ),
    ] {
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut server = builder
            .another()
            .environment("NOTIFY_SOCKET", &variable)
            .environment("WATCHDOG_USEC", "400000")
            .start();
        let ready = heard(&manager);
        let expected = format!("READY=1\nSTATUS=listening on http://{}", server.address());
        assert_eq!(ready, expected);
        assert_eq!(heard(&manager), "WATCHDOG=1");
        assert_eq!(heard(&manager), "WATCHDOG=1");
        server.stop();
        let mut last = heard(&manager);
        while last == "WATCHDOG=1" {
            last = heard(&manager);
        }
        assert!(last.starts_with("STOPPING=1\n"), "{last}");
    }
}
