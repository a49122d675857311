//! SIGTERM while all threads that serve requests are stuck in the file system.

use std::fs;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use wharf_testkit::{Client, RawConnection, ServerBuilder, image, suite::Suite};

use crate::{logs::Unread, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(suite, [a_file_system_that_stands_still_does_not_stop_sigterm]);
}

/// More than the server has threads for requests, on any machine that runs tests.
const REQUESTS: usize = 200;

/// A FIFO stands for a network file system that does not answer: opening it waits for ever.
async fn a_file_system_that_stands_still_does_not_stop_sigterm(builder: ServerBuilder) {
    let server = Unread::start(&builder);
    let repository = Client::http1(server.address).repository("a");
    repository.push_image("1", &image::oci(1)).await;
    let link = "docker/registry/v2/repositories/a/_manifests/tags/1/current/link";
    let link = builder.root().join(link);
    fs::remove_file(&link).unwrap();
    mknodat(CWD, &link, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut requests = Vec::new();
    for _ in 0..REQUESTS {
        // The server may be stuck already, and take no more connections than the kernel's queue does.
        let Some(mut raw) = RawConnection::try_open(server.address).await else {
            break;
        };
        raw.send("GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        requests.push(raw);
    }
    // `stop` fails when the process does not end. It may not end well: requests were cut.
    server.stop().await;
}
