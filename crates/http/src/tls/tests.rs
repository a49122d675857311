//! The files of `http.tls` change between handshakes.

#![expect(
    clippy::disallowed_methods,
    reason = "plays the operator who renews certificates"
)]

use std::{fs, time::Duration};

use rcgen::KeyPair;
use tempfile::TempDir;
use tokio::time;

use super::*;

/// Longer than a pair may not fit before that is an error.
const LONG: Duration = Duration::from_millis(1_001);

struct Scene {
    tls: Tls,
    directory: TempDir,
}

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Scene {
    fn new(pair: &Pair) -> Self {
        let directory = TempDir::with_prefix("wharf-tls-").unwrap();
        fs::write(directory.path().join("crt"), &pair.certificate).unwrap();
        fs::write(directory.path().join("key"), &pair.key).unwrap();
        let options = TlsOptions {
            certificate: directory.path().join("crt"),
            key: directory.path().join("key"),
            client_authorities: Vec::new(),
            client_auth: ClientAuth::default(),
            tls13_only: false,
            cipher_suites: Vec::new(),
            http2: true,
        };
        Self {
            tls: Tls::open(options).unwrap(),
            directory,
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    /// Whether the next handshake goes by the same configuration as the last one.
    async fn is_as_before(&self, before: &mut Arc<ServerConfig>) -> bool {
        let old = std::mem::replace(before, self.tls.current().await);
        Arc::ptr_eq(&old, before)
    }

    fn problem(&self) -> String {
        self.tls.status().problem.unwrap_or_default()
    }
}

// Time stands still while a thread looks at the files: no handshake loses its patience.
#[tokio::test(start_paused = true)]
async fn a_renewed_pair_is_in_force_for_the_next_handshake() {
    let (first, second) = (Pair::new(), Pair::new());
    let scene = Scene::new(&first);
    let mut config = scene.tls.current().await;
    for pair in [&second, &first, &second] {
        scene.write("crt", &pair.certificate);
        assert!(
            scene.is_as_before(&mut config).await,
            "half of a pair is not used"
        );
        scene.write("key", &pair.key);
        assert!(!scene.is_as_before(&mut config).await);
        assert!(scene.is_as_before(&mut config).await);
    }
    assert_eq!(scene.tls.status(), Status::default());
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_does_not_fit_is_an_error_when_it_lasts() {
    let (first, second) = (Pair::new(), Pair::new());
    let scene = Scene::new(&first);
    let mut config = scene.tls.current().await;
    scene.write("crt", &second.certificate);
    assert!(scene.is_as_before(&mut config).await);
    assert_eq!(scene.problem(), "", "the other half may be about to come");
    time::advance(LONG).await;
    assert!(scene.is_as_before(&mut config).await);
    assert!(
        scene
            .problem()
            .contains("does not belong to the certificate in `http.tls.certificate`"),
        "{}",
        scene.problem()
    );
    fs::remove_file(scene.directory.path().join("key")).unwrap();
    assert!(scene.is_as_before(&mut config).await);
    assert!(
        scene.problem().starts_with("cannot read `http.tls.key` `"),
        "another error, as the files have been damaged for long: {}",
        scene.problem()
    );
    scene.write("crt", &first.certificate);
    scene.write("key", &first.key);
    assert!(
        scene.is_as_before(&mut config).await,
        "the certificate is the old one"
    );
    assert_eq!(scene.problem(), "");
    // It fits again: the time begins anew.
    scene.write("key", &second.key);
    assert!(scene.is_as_before(&mut config).await);
    assert_eq!(scene.problem(), "");
}

#[tokio::test(start_paused = true)]
async fn certificates_in_other_words_are_no_change() {
    let pair = Pair::new();
    let scene = Scene::new(&pair);
    let mut config = scene.tls.current().await;
    scene.write(
        "crt",
        &format!("The certificate of localhost\n{}\n", pair.certificate),
    );
    assert!(
        scene.is_as_before(&mut config).await,
        "its sessions can be resumed"
    );
    assert_eq!(scene.tls.status(), Status::default());
}

#[test]
fn warnings_of_the_start_are_findings() {
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::default();
    let scene = Scene::new(&Pair {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    });
    let findings = scene.tls.status().findings;
    assert!(
        findings.len() == 1 && findings[0].contains("no subject alternative name"),
        "{findings:?}"
    );
}
