//! A pull that is in the window already allocates nothing.

use wharf_registry::{Pull, Pulled, Subscriber as _};
use wharf_testkit::allocations::{Counting, allocations};

use crate::common::{Client, Engine, Server, manifest, name, tag};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::test]
async fn a_pull_that_was_seen_lately_allocates_nothing() {
    let engine = Engine::memory();
    let server = Server::start(&engine).await;
    let (client, repository, manifest, tag) = (
        Client::new("alice"),
        name("team/app"),
        manifest("image"),
        tag("1.0"),
    );
    let pull = || {
        server.activity.observe(Pull {
            caller: &client,
            repository: &repository,
            content: Pulled::Manifest {
                manifest: &manifest,
                tag: Some(&tag),
            },
        });
    };
    assert!(allocations(pull) > 0, "the first one is kept");
    let many = || (0..1000).for_each(|_| pull());
    assert_eq!(allocations(many), 0);
    let blob = || {
        server.activity.observe(Pull {
            caller: &client,
            repository: &repository,
            content: Pulled::Blob {
                digest: &manifest.digest,
                size: 7,
            },
        });
    };
    assert_eq!(allocations(blob), 0, "blobs are not recorded");
    server.stop().await;
}
