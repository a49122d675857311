//! Work without end: pushes whose clients hang up, manifests by the hundred, guessed passwords, and indexes that repeat.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use wharf_testkit::{
    RawConnection, ServerBuilder, basic, eventually,
    image::{self, Manifest},
    json,
    suite::Suite,
};

use crate::{expect_end, expect_memory, expect_service, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        [
            pushes_whose_clients_hang_up_leave_nothing_behind,
            a_hundred_large_manifests_and_hundreds_of_slow_ones_are_bounded,
            users_log_in_while_passwords_are_guessed,
            indexes_that_repeat_a_child_stop_no_other_request,
        ]
    );
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A bcrypt hash of `pw`, of the cost of `wharf user add`.
const HASH: &str = "$2y$10$I3NmjSU9FZqSaM6qd40Ji.NZl7LDoUHIIVNjEeE05ycBUIaZsSFg6";

/// An attack that goes on, in tasks of its own, until it is dropped.
struct Attack {
    is_over: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

/// Does `act` again and again, in `count` tasks.
fn attack<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    act: impl Fn() -> F + Clone + Send + 'static,
) -> Attack {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (is_over, act) = (Arc::clone(&is_over), act.clone());
        tasks.spawn(async move {
            while !is_over.load(Relaxed) {
                act().await;
            }
        });
    }
    Attack {
        is_over,
        _tasks: tasks,
    }
}

/// An index without children, of about `size` bytes.
fn large(size: usize) -> Manifest {
    let padding = "x".repeat(size);
    Manifest::new(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": { "padding": padding } }),
    )
}

/// The head of a push of so many bytes to the tag `1` of the repository `a`.
fn head(length: usize) -> String {
    format!(
        "PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Type: {INDEX}\r\nContent-Length: {length}\r\n\r\n"
    )
}

async fn pushes_whose_clients_hang_up_leave_nothing_behind(builder: ServerBuilder) {
    let server = builder.http("draintimeout: 1s").start();
    let (address, manifest) = (server.address(), large(50_000));
    let request: Arc<[u8]> = [head(manifest.bytes.len()).as_bytes(), &manifest.bytes]
        .concat()
        .into();
    let attack = attack(4, move || {
        let request = Arc::clone(&request);
        async move {
            if let Some(mut raw) = RawConnection::try_open(address).await {
                raw.try_send(&request).await.ok();
            }
        }
    });
    // One of the tag that is attacked, and one of another repository. The server may ask to come again, or close an idle
    // connection to make room for another one.
    for number in 0..5 {
        for repository in ["a", "honest"] {
            let (repository, manifest) = (server.anonymous().repository(repository), large(number));
            eventually("an honest push succeeds", || async {
                let answer = repository.put_manifest("1", &manifest).try_send().await;
                answer.is_ok_and(|answer| answer.status == 201)
            })
            .await;
        }
    }
    expect_memory(&server);
    expect_end(server).await;
    drop(attack);
}

async fn a_hundred_large_manifests_and_hundreds_of_slow_ones_are_bounded(builder: ServerBuilder) {
    let server = builder.http("draintimeout: 1s").start();
    let manifest = large((4 << 20) - 1000);
    let head = head(manifest.bytes.len());
    let mut open = Vec::new();
    for number in 0..400 {
        let mut raw = server.raw().await;
        raw.send(&head).await;
        // All but the last byte, or the first alone.
        let end = if number < 100 { manifest.bytes.len() - 1 } else { 1 };
        raw.try_send(&manifest.bytes[..end]).await.ok();
        open.push(raw);
    }
    expect_service(&server).await;
    expect_memory(&server);
    expect_end(server).await;
}

async fn users_log_in_while_passwords_are_guessed(builder: ServerBuilder) {
    // The password of each is `pw`; bcrypt of cost 10, as `wharf user add` makes it.
    let users: String = (0..4).map(|number| format!("user{number}:{HASH}\n")).collect();
    builder.write("htpasswd", users);
    let server = builder.htpasswd("htpasswd").http("draintimeout: 1s").start();
    let (address, guesses) = (server.address(), Arc::new(AtomicU32::new(0)));
    let _attack = attack(160, move || {
        let guesses = Arc::clone(&guesses);
        async move {
            let guess = guesses.fetch_add(1, Relaxed);
            let credentials = basic(&format!("guess{guess}"), &format!("{guess}"));
            let request = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\n\r\n");
            if let Some(mut raw) = RawConnection::try_open(address).await {
                raw.try_send(request).await.ok();
                raw.try_answer().await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    for number in 0..4 {
        let credentials = basic(&format!("user{number}"), "pw");
        let login = server
            .anonymous()
            .get("/v2/")
            .header("Authorization", &credentials)
            // The guesses come from another network: a proxy on this machine says so.
            .header("X-Forwarded-For", "192.0.2.7");
        login.await.expect(200);
    }
    expect_memory(&server);
    expect_end(server).await;
}

async fn indexes_that_repeat_a_child_stop_no_other_request(builder: ServerBuilder) {
    let server = builder
        .http("draintimeout: 1s")
        .storage("delete: {enabled: true}")
        .start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("child", &image).await;
    let children = vec![image.manifest.descriptor(); 18_000];
    for number in 0..14 {
        let index = Manifest::new(
            INDEX,
            &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children, "annotations": { "number": number.to_string() } }),
        );
        repository.push_manifest(&format!("index{number}"), &index).await;
    }
    let (client, digest) = (server.anonymous(), image.manifest.digest.clone());
    let _attack = attack(16, move || {
        let (repository, digest) = (client.repository("a"), digest.clone());
        async move {
            let target = format!("/v2/a/referrers/{digest}");
            // Unanswered at the end, when the server stops.
            let referrers = repository.client().get(&target).try_send().await;
            let deleted = repository.delete_manifest(&digest).try_send().await;
            let statuses =
                [referrers, deleted].map(|answer| answer.map_or(0, |answer| answer.status.as_u16()));
            assert!(matches!(statuses, [200 | 0 | 503, 409 | 0 | 503]), "{statuses:?}");
        }
    });
    for _ in 0..5 {
        expect_service(&server).await;
    }
    expect_memory(&server);
    expect_end(server).await;
}
