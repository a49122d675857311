//! Two servers on one tree: the second refuses to start, the first does not notice.

use wharf_testkit::{ServerBuilder, image};

wharf_testkit::on_disk![
    a_second_process_is_refused,
    the_lock_of_a_killed_process_is_no_obstacle
];

async fn a_second_process_is_refused(builder: ServerBuilder) {
    let mut server = builder
        .environment("REGISTRY_STORAGE_FILESYSTEM_LOCKWAIT", "0s")
        .start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;

    let (status, said) = server.second_process();
    assert!(
        !status.success(),
        "the second process ended with {status}\n{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    let root = server.root();
    assert!(
        said.contains(root.to_str().unwrap()),
        "`{}` was expected in\n{said}",
        root.display()
    );
    assert!(
        said.contains("another process"),
        "`another process` was expected in\n{said}"
    );

    server.assert_alive();
    repository.pull_image("v1", &image).await;
    repository.push_image("v2", &image).await;
}

async fn the_lock_of_a_killed_process_is_no_obstacle(builder: ServerBuilder) {
    let mut server = builder.start();
    let image = image::oci(1);
    server.anonymous().repository("a").push_image("v1", &image).await;
    server.kill9();
    server.start_again();
    server.anonymous().repository("a").pull_image("v1", &image).await;
}
