//! Secrets as Kubernetes mounts them: files are links into a directory that is replaced as a whole when the Secret changes.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use wharf_testkit::{
    Client, Server, eventually,
    suite::Suite,
    tls::{Identity, Trust, Wanted},
    tool::Bench,
};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "secrets_that_kubernetes_mounts_are_read_again_when_they_change",
        &[],
        || wharf_testkit::run(read_again()),
    );
}

/// A Secret in a container.
struct Mounted(PathBuf);

impl Mounted {
    fn new(bench: &Bench, name: &str, files: &[(&str, &str)]) -> Self {
        let mounted = Self(bench.path(name));
        fs::create_dir(&mounted.0).expect("a directory");
        mounted.change("..1", files);
        for (file, _) in files {
            symlink(format!("..data/{file}"), mounted.0.join(file)).expect("a link");
        }
        mounted
    }

    /// Writes the files into a new directory and moves the link to it, which is one step for their readers.
    fn change(&self, directory: &str, files: &[(&str, &str)]) {
        fs::create_dir(self.0.join(directory)).expect("a directory");
        for (file, text) in files {
            fs::write(self.0.join(directory).join(file), text).expect("a file");
        }
        symlink(directory, self.0.join("..data_tmp")).expect("a link");
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).expect("the link is moved");
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

/// A line of a password file; the password is `secret`.
fn user(name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["htpasswd", "-Bbn", name, "secret"])
        .output()
        .expect("the binary runs");
    String::from_utf8(output.stdout).expect("a line is text")
}

async fn read_again() {
    let bench = Bench::new();
    let users = Mounted::new(&bench, "auth", &[("htpasswd", &user("alice"))]);
    let files = |identity: &Identity| (identity.certificate.clone(), identity.key.clone());
    let (certificate, key) = files(&Wanted::localhost().self_signed());
    let pair = Mounted::new(&bench, "tls", &[("tls.crt", &certificate), ("tls.key", &key)]);
    let server = Server::builder(env!("CARGO_BIN_EXE_wharf"))
        .htpasswd(&users.path("htpasswd"))
        .environment("REGISTRY_HTTP_TLS_CERTIFICATE", &pair.path("tls.crt"))
        .environment("REGISTRY_HTTP_TLS_KEY", &pair.path("tls.key"))
        .start();
    let status = async |certificate: &str, name: &str| {
        let client = Client::tls(server.address(), &Trust::in_certificate(certificate));
        let answer = client.as_user(name, "secret").get("/v2/").try_send().await;
        answer.map(|answer| answer.status.as_u16()).ok()
    };
    assert_eq!(status(&certificate, "alice").await, Some(200));
    assert_eq!(status(&certificate, "bob").await, Some(401));

    users.change("..2", &[("htpasswd", &user("bob"))]);
    eventually("bob is let in", async || {
        status(&certificate, "bob").await == Some(200)
    })
    .await;
    assert_eq!(status(&certificate, "alice").await, Some(401));

    let (next, key) = files(&Wanted::localhost().self_signed());
    pair.change("..2", &[("tls.crt", &next), ("tls.key", &key)]);
    eventually("the new certificate is shown", async || {
        status(&next, "bob").await == Some(200)
    })
    .await;
}
