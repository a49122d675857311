//! The image as notes and scripts rely on it (rows S0-07, S0-19 to S0-22, S1-12, S2-13, S4-25; decision D6).

use wharf_testkit::{Content, image, suite::Suite, wire::Request};

use crate::subject::{Container, FULL, MINIMAL, NEEDS, docker, wait_for};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "d6_the_image_is_laid_out_as_registry_2",
        NEEDS,
        is_laid_out_as_registry_2,
    );
    suite.test("s1_12_the_shell_and_its_tools_are_there", NEEDS, tools_are_there);
    suite.test(
        "s0_22_the_entry_point_takes_every_form",
        NEEDS,
        entry_point_takes_every_form,
    );
    suite.test("s0_07_htpasswd_is_in_the_image", NEEDS, htpasswd_is_in_the_image);
    suite.test(
        "the_credential_helper_is_in_the_image",
        NEEDS,
        credential_helper_is_in_the_image,
    );
    suite.test(
        "s0_09_a_container_serves_and_stops_cleanly",
        NEEDS,
        serves_and_stops,
    );
    suite.test("the_minimal_image_serves", NEEDS, minimal_serves);
    suite.test("any_user_on_a_read_only_file_system", NEEDS, any_user_read_only);
    suite.test(
        "s4_15_configuration_at_either_place",
        NEEDS,
        configuration_at_either_place,
    );
    suite.test(
        "s2_13_garbage_collect_in_a_container_of_its_own",
        NEEDS,
        collects_offline,
    );
    suite.test("health_is_seen_by_docker", NEEDS, health_is_seen);
}

fn is_laid_out_as_registry_2() {
    let docker = docker("");
    let of = |image: &str, field: &str| {
        docker.run(&[
            "inspect",
            "--format",
            &format!("{{{{json .Config.{field}}}}}"),
            image,
        ])
    };
    for image in [FULL, MINIMAL] {
        assert_eq!(of(image, "WorkingDir"), "\"/\"");
        assert_eq!(of(image, "Volumes"), r#"{"/var/lib/registry":{}}"#);
        assert_eq!(of(image, "ExposedPorts"), r#"{"5000/tcp":{}}"#);
        assert!(of(image, "Healthcheck").contains("healthcheck"), "{image}");
    }
    assert_eq!(of(FULL, "Entrypoint"), r#"["/entrypoint.sh"]"#);
    assert_eq!(of(MINIMAL, "Entrypoint"), r#"["/bin/registry"]"#);
}

fn tools_are_there() {
    let docker = docker("");
    let sh = |script: &str| docker.run(&["run", "--rm", "--network", "none", FULL, "/bin/sh", "-c", script]);
    for tool in ["find", "rm", "ls", "wc", "cat", "tar", "du", "vi", "sha256sum"] {
        assert!(sh(&format!("command -v {tool}")).ends_with(tool), "{tool}");
    }
    assert_eq!(
        sh("pwd; ls -d /var/lib/registry /etc/docker/registry/config.yml"),
        "/\n/etc/docker/registry/config.yml\n/var/lib/registry"
    );
}

fn entry_point_takes_every_form() {
    let docker = docker("");
    let run = |words: &[&str]| {
        let mut all = vec!["run", "--rm", "--network", "none"];
        all.extend(words);
        docker.run(&all)
    };
    let version = run(&[FULL, "--version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    assert_eq!(
        run(&[FULL, "bin/registry", "--version"]),
        version,
        "S4-25: relative to /"
    );
    assert_eq!(run(&[FULL, "/bin/registry", "--version"]), version);
    assert_eq!(run(&["--entrypoint", "wharf", FULL, "--version"]), version);
    assert_eq!(run(&[MINIMAL, "--version"]), version);
    assert_eq!(run(&[FULL, "echo", "any program"]), "any program");
    assert!(run(&[FULL, "help"]).contains("garbage-collect"));
    assert!(run(&[FULL, "serve", "--help"]).contains("config"));

    docker.bench.write(
        "my.yml",
        "version: 0.1\nstorage: inmemory\nhttp: {addr: ':5000'}\n",
    );
    let mount = format!("{}:/my.yml:ro", docker.bench.path("my.yml").display());
    let container = Container::run(&docker, &["--volume", &mount, FULL, "/my.yml"]);
    assert!(
        container.log().contains("/my.yml"),
        "a file is served: {}",
        container.log()
    );
}

fn htpasswd_is_in_the_image() {
    let docker = docker("");
    for image in [FULL, MINIMAL] {
        let line = docker.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "--entrypoint",
            "htpasswd",
            image,
            "-Bbn",
            "myuser",
            "mypassword",
        ]);
        assert!(line.starts_with("myuser:$2y$"), "{line}");
    }
}

/// A job of a pipeline that runs in the image names it in `credsStore`.
fn credential_helper_is_in_the_image() {
    let docker = docker("");
    for image in [FULL, MINIMAL] {
        let helper = |action: &str| {
            let words = ["run", "--rm", "--network", "none", "--entrypoint"];
            docker.run(&[&words[..], &["docker-credential-wharf", image, action]].concat())
        };
        let version = helper("version");
        assert!(
            version.starts_with("docker-credential-wharf (wharf) "),
            "{image}: {version}"
        );
        assert_eq!(helper("list"), "{}", "{image}");
    }
    let by_entry_point = [
        "run",
        "--rm",
        "--network",
        "none",
        FULL,
        "docker-credential-wharf",
        "list",
    ];
    assert_eq!(docker.run(&by_entry_point), "{}");
}

fn serves_and_stops() {
    let docker = docker("from a container");
    let container = Container::run(&docker, &[FULL]);
    let reference = format!("{}/kyo/my-image:1.0", container.authority());
    docker.build(&reference);
    docker.run(&["push", &reference]);
    docker.run(&["rmi", "--force", &reference]);
    docker.run(&["pull", &reference]);
    assert_eq!(
        docker.run(&["run", "--rm", "--network", "none", &reference]),
        "from a container"
    );
    docker.run(&["rmi", "--force", &reference]);

    // S1-25: the tree lies where operators look for it.
    let tree = container.exec(&[
        "find",
        "/var/lib/registry/docker/registry/v2/repositories/",
        "-maxdepth",
        "3",
    ]);
    assert!(tree.contains("kyo/my-image/_manifests"), "{tree}");
    // S1-26: `rm -rf` in the tree shows at once.
    container.exec(&[
        "rm",
        "-rf",
        "/var/lib/registry/docker/registry/v2/repositories/kyo",
    ]);
    let catalogue = Request::new("GET", "/v2/_catalog")
        .send(&container.authority())
        .expect("it answers");
    assert_eq!(catalogue.text(), "{\"repositories\":[]}\n");
    assert_eq!(container.stop(), "0", "{}", container.log());
}

fn minimal_serves() {
    let docker = docker("");
    let container = Container::run(&docker, &[MINIMAL]);
    let content = Content::of(image::oci_index("minimal"));
    content.push(&container.authority(), "app", "1");
    assert_eq!(container.stop(), "0", "{}", container.log());
}

fn any_user_read_only() {
    let docker = docker("");
    let container = Container::run(
        &docker,
        &["--user", "4711:4711", "--read-only", "--cap-drop", "ALL", FULL],
    );
    Content::of(image::docker("as 4711")).push(&container.authority(), "app", "1");
    let owner = container.exec(&["stat", "-c", "%u", "/var/lib/registry/docker"]);
    assert_eq!(owner, "4711");
}

fn configuration_at_either_place() {
    let docker = docker("");
    docker.bench.write(
        "config.yml",
        "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: ':5000', headers: {X-Mine: ['yes']}}\n",
    );
    for place in ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"] {
        for image in [FULL, MINIMAL] {
            let mount = format!("{}:{place}:ro", docker.bench.path("config.yml").display());
            let container = Container::run(&docker, &["--volume", &mount, image]);
            let answer = Request::new("GET", "/v2/")
                .send(&container.authority())
                .expect("it answers");
            assert_eq!(
                answer.header("X-Mine"),
                Some("yes"),
                "{place} of {image}: {}",
                container.log()
            );
        }
    }
}

fn collects_offline() {
    let docker = docker("");
    let volume = format!("wharf-test-{}", std::process::id());
    let mount = format!("{volume}:/var/lib/registry");
    docker.bench.write(
        "config.yml",
        "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}\nhttp: {addr: ':5000'}\n\
         trash: {retention: 0}\n",
    );
    let config = format!(
        "{}:/etc/docker/registry/config.yml",
        docker.bench.path("config.yml").display()
    );
    {
        let container = Container::run(&docker, &["--volume", &mount, "--volume", &config, FULL]);
        let content = Content::of(image::docker("to be deleted"));
        content.push(&container.authority(), "app", "1");
        let delete = format!("/v2/app/manifests/{}", content.root().digest);
        let answer = Request::new("DELETE", &delete)
            .send(&container.authority())
            .expect("it answers");
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(container.stop(), "0");
    }
    let collect = |more: &[&str]| {
        let mut all = vec![
            "run",
            "--rm",
            "--network",
            "none",
            "--volume",
            &mount,
            "--volume",
            &config,
            FULL,
        ];
        all.extend(["garbage-collect", "/etc/docker/registry/config.yml"]);
        all.extend(more);
        docker.run(&all)
    };
    // S0-19, S0-20: flags behind, the file named twice.
    let dry = collect(&["--dry-run", "/etc/docker/registry/config.yml"]);
    assert!(dry.contains("blob eligible for deletion: sha256:"), "{dry}");
    let real = collect(&[]);
    assert!(real.contains("blob eligible for deletion: sha256:"), "{real}");
    let again = collect(&[]);
    assert!(!again.contains("blob eligible"), "{again}");
    docker.run(&["volume", "rm", &volume]);
}

fn health_is_seen() {
    let docker = docker("");
    for image in [FULL, MINIMAL] {
        let container = Container::run(&docker, &["--health-interval", "1s", image]);
        let health = || docker.run(&["inspect", "--format", "{{.State.Health.Status}}", &container.id]);
        wait_for(
            || health() == "healthy",
            || docker.run(&["inspect", &container.id]),
        );
        docker.run(&["exec", &container.id, "/bin/registry", "healthcheck"]);
    }
}
