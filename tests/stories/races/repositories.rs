//! A repository that an operator removes with `rm -rf` while clients push to it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use wharf_testkit::{ServerBuilder, image};

wharf_testkit::on_disk![removal_behind_our_back_while_pushes_go_on];

/// A push may fail while the tree vanishes under it, with a clean error; it may not bring the
/// server down, nor leave something dangling, nor make later pushes fail.
async fn removal_behind_our_back_while_pushes_go_on(builder: ServerBuilder) {
    let mut server = builder.unchecked().start();
    let repository = server.anonymous().repository("team/goes");
    let directory = server.tree().join("repositories/team/goes");
    let running = Arc::new(AtomicBool::new(true));
    let remover = {
        let running = Arc::clone(&running);
        std::thread::spawn(move || {
            let mut removals = 0;
            while running.load(Ordering::Relaxed) {
                // Fails when something is created in it meanwhile: so does `rm -rf`.
                removals += usize::from(std::fs::remove_dir_all(&directory).is_ok());
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
            removals
        })
    };
    let pushers: Vec<_> = (0..4)
        .map(|seed| {
            let repository = repository.clone();
            tokio::spawn(async move {
                let image = image::oci(seed);
                let mut pushed = 0;
                for n in 0..25 {
                    let post = repository.client().post(&repository.uploads_path()).await;
                    assert!(
                        post.status == 202 || post.status.is_server_error() || post.status == 404,
                        "{post}"
                    );
                    if post.status != 202 {
                        continue;
                    }
                    let blob = &image.blobs[n % image.blobs.len()];
                    let put = repository
                        .finish(&post.location(), &blob.digest, blob.bytes.clone())
                        .await;
                    assert!(
                        put.status == 201 || put.status.is_server_error() || put.status == 404,
                        "{put}"
                    );
                    pushed += usize::from(put.status == 201);
                    let put = repository.put_manifest("latest", &image.manifest).await;
                    assert!(
                        put.status == 201 || put.status == 400 || put.status.is_server_error(),
                        "{put}"
                    );
                    let get = repository.get_manifest("latest").await;
                    assert!(
                        get.status == 200 || get.status == 404 || get.status.is_server_error(),
                        "{get}"
                    );
                }
                pushed
            })
        })
        .collect();
    for pusher in pushers {
        pusher.await.unwrap();
    }
    running.store(false, Ordering::Relaxed);
    let removals = remover.join().unwrap();
    assert!(removals > 0, "the repository was never removed");
    server.assert_alive();

    // A last removal, and all is as if nothing had been.
    std::fs::remove_dir_all(server.tree().join("repositories/team")).ok();
    server
        .anonymous()
        .get("/v2/_catalog")
        .await
        .expect(200)
        .expect_body("{\"repositories\":[]}\n");
    let image = image::oci(9);
    repository.push_image("latest", &image).await;
    repository.pull_image("latest", &image).await;
    assert_eq!(repository.tags().await, ["latest"]);
    let report = wharf_testkit::store::check(&server.root(), wharf_testkit::store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
}
