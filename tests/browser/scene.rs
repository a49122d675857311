//! A registry with images for a browser to look at, and the run of a script.

use std::process::Command;

use wharf_testkit::{
    Client, Server, image,
    tool::{self, target_directory},
};

/// A line of a password file: the password `pw`, hashed at the cost 4.
const HASH: &str = "$2y$04$GGM6RoW8osn7YjJ5LjkGxenr.OcquEAkaBl0/QER35f5AYyyuzLkC";

/// What the accounts may do: `alice` administers, `bob` only pulls.
const RULES: &str = "rules:\n\
    - {accounts: alice, repositories: '**', allow: [pull, push, delete]}\n\
    - {accounts: bob, repositories: '**', allow: [pull]}\n";

/// The repositories of a full scene, with the number of their tags.
const REPOSITORIES: [(&str, usize); 7] = [
    ("base/debian", 2),
    ("greet-go", 3),
    ("greet-python", 150),
    ("legacy", 1),
    ("team/app", 4),
    ("team/tools/cli", 2),
    ("team/web", 2),
];

/// A registry with images.
pub(crate) struct Scene {
    server: Server,
}

/// The run of a script.
pub(crate) struct Visit {
    script: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl Visit {
    pub(crate) fn by(script: &'static str) -> Self {
        Self {
            script,
            variables: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }
}

impl Scene {
    /// A registry with the users `alice`, an administrator, and `bob`, that only pulls; without images.
    fn empty(lines: &[&str], takes_tokens: bool) -> Self {
        let builder = Server::builder(env!("CARGO_BIN_EXE_wharf"));
        builder.write("htpasswd", format!("alice:{HASH}\nbob:{HASH}\n"));
        builder.write("rules.yml", RULES);
        let users = builder.path("htpasswd").display().to_string();
        let rules = builder.path("rules.yml").display().to_string();
        let builder = builder.htpasswd(&users).config("collect: {grace: 0}");
        let mut builder = builder.config(format!(
            "access: {{admins: [alice], rules: '{rules}', tokens: {{enabled: {takes_tokens}}}}}"
        ));
        for line in lines {
            builder = builder.http(*line);
        }
        Self {
            server: builder.start(),
        }
    }

    /// With seven repositories: images with history, an index with attestations, referrers, manifests without a tag, and a deletion in
    /// the trash.
    pub(crate) fn full() -> Self {
        let scene = Self::empty(&[], true);
        scene.run(async |alice| {
            for (name, tags) in REPOSITORIES {
                let repository = alice.repository(name);
                for tag in 0..tags {
                    // Ten tags share an image, as those of one release do.
                    let image = image::oci(format!("{name} {}", tag / 10));
                    repository.push_image(&format!("1.{tag}"), &image).await;
                }
            }
            let app = alice.repository("team/app");
            for build in 0..3 {
                app.push_image("latest", &image::oci(format!("build {build}")))
                    .await;
            }
            let index = image::oci_index("multi");
            app.push_index("multi", &index).await;
            let signature = image::artifact(
                "signature",
                "application/vnd.dev.cosign.artifact.sig.v1+json",
                &index.manifest,
            );
            app.push_image(&signature.manifest.digest, &signature).await;
            let kept = image::image(
                image::OCI_MANIFEST,
                image::Blob::new(
                    "application/vnd.cncf.helm.config.v1+json",
                    r#"{"name":"demo","version":"1.0.0"}"#,
                ),
                vec![image::Blob::new(
                    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                    "chart",
                )],
            );
            app.push_image("chart", &kept).await;
            let gone = alice.repository("legacy");
            gone.push_image("old", &image::oci("old")).await;
            gone.delete_manifest("old").await.expect(202);
        });
        scene
    }

    /// With names, labels and annotations that try to be more than text.
    pub(crate) fn hostile() -> Self {
        let scene = Self::empty(&[], true);
        scene.run(async |alice| {
            let evil = alice.repository("evil");
            let label = HOSTILE.join(" ");
            let config = wharf_testkit::json!({
                "created": HOSTILE[0], "author": HOSTILE[1], "os": "linux", "architecture": "amd64",
                "config": {
                    "User": HOSTILE[2], "Env": HOSTILE, "Entrypoint": HOSTILE, "Cmd": HOSTILE, "WorkingDir": HOSTILE[3],
                    "Labels": {
                        "org.opencontainers.image.source": "javascript:alert(document.domain)",
                        "org.opencontainers.image.url": "https://example.com/\"onmouseover=\"alert(1)",
                        "org.opencontainers.image.description": label,
                        HOSTILE[0]: HOSTILE[1],
                        "long": "long ".repeat(20_000),
                    },
                },
                "history": [{"created_by": HOSTILE[0], "comment": HOSTILE[1]}],
            });
            let image = image::image(
                image::OCI_MANIFEST,
                image::Blob::new(image::OCI_CONFIG, config.to_string()),
                vec![image::Blob::new("application/vnd.oci.image.layer.v1.tar", "<script>alert(1)</script>")],
            );
            let annotations = wharf_testkit::json!({"annotations": {HOSTILE[0]: HOSTILE[1], "rtl": HOSTILE[3]}});
            evil.push_blobs(&image).await;
            let manifest = image.manifest.with(&annotations);
            evil.push_manifest("1", &manifest).await;
            let artifact = image::artifact("x", "application/vnd.example+\"><script>alert(1)</script>", &manifest);
            evil.push_image(&artifact.manifest.digest, &artifact).await;
            let page = image::Blob::new("text/html", "<!doctype html><script>document.title='run'</script>");
            let unknown = image::image(image::OCI_MANIFEST, image::Blob::new("text/html", "{}"), vec![page]);
            evil.push_image("page", &unknown).await;
            let agent = alice.get("/v2/evil/manifests/1").header("user-agent", HOSTILE[0]);
            agent.header("accept", image::OCI_MANIFEST).await.expect(200);
        });
        scene
    }

    /// With one repository, for pages of `origin`, which send passwords and delete.
    pub(crate) fn for_pages_of(origin: &str) -> Self {
        let cors = format!("cors: {{origins: ['{origin}'], credentials: true}}");
        // Joxit's interface takes what tokens allow that it gets without a password.
        let scene = Self::empty(&[&cors], false);
        scene.run(async |alice| {
            let greet = alice.repository("greet");
            for tag in ["1.0", "1.1"] {
                greet.push_image(tag, &image::oci(tag)).await;
            }
        });
        scene
    }

    fn run(&self, work: impl AsyncFnOnce(Client)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let alice = self.server.anonymous().as_user("alice", "pw");
            work(alice).await;
        });
    }

    /// Address of the registry.
    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Runs a script against the registry.
    pub(crate) fn visit(&self, visit: &Visit) {
        let scripts = tool::root_directory().join("tests/browser/scripts");
        let mut node = Command::new(tool::find("node").unwrap());
        node.arg(scripts.join(visit.script))
            .env("WHARF_URL", format!("http://{}", self.address()))
            .env("WHARF_CHROMIUM", tool::find("chromium").unwrap())
            .env("WHARF_MODULES", target_directory().join("tools/browser"))
            .env("WHARF_SHOTS", target_directory().join("browser"))
            .env("HOME", self.server.path("home"));
        node.envs(
            visit
                .variables
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let output = node.output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{} failed\n{}{}",
            visit.script,
            said(&output.stdout),
            said(&output.stderr)
        );
    }
}

/// Texts that try to be markup, scripts, or to reorder what stands around them.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=\"document.body.dataset.run=1\">",
    "\"'><script>document.body.dataset.run=1</script>",
    "{{7*7}}${7*7}<svg/onload=document.body.dataset.run=1>",
    "\u{202e}gnp.exe\u{202c} \u{2066}\u{200b}end",
];
