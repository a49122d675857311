//! A pull that is in the window already allocates nothing.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use wharf_registry::{Pull, Pulled, Subscriber as _};

use crate::common::{Client, Engine, Server, manifest, name, tag};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocations(work: impl Fn()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

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
