//! The contract over real servers that speak the protocols of the clouds: at the address in `$WHARF_TEST_AZURE`, that of an
//! emulator's account with its well-known key and a container `images` (`http://127.0.0.1:10000/devstoreaccount1`); and at
//! that in `$WHARF_TEST_GCS`, which has a bucket `images` and wants no credentials.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use object_store::{ObjectStoreExt, path::Path};
use tokio::runtime::Runtime;
use wharf_storage::{
    contract,
    object::{
        ObjectStorage, Store,
        clouds::{Azure, AzureLogin, AzureSettings, Gcs, GcsLogin, GcsSettings},
    },
};
use wharf_testkit::suite::{Part, Suite};

const AZURE: &str = "WHARF_TEST_AZURE";
const GCS: &str = "WHARF_TEST_GCS";

/// Bucket, or container.
const BUCKET: &str = "images";

fn main() {
    let mut suite = Suite::default();
    add_contract(&mut suite, "azure", AZURE, azure);
    add_contract(&mut suite, "gcs", GCS, gcs);
    suite.test("azure::the_start_check_passes", &[Part::Variable(AZURE)], || {
        Runtime::new().expect("a runtime").block_on(checked());
    });
    suite.run().exit();
}

/// The cases of the contract, or one line that they are left out.
fn add_contract(suite: &mut Suite, cloud: &str, variable: &'static str, open: fn() -> Arc<dyn Store>) {
    if std::env::var_os(variable).is_none() {
        let name = format!("{cloud}::contract");
        suite.test(&name, &[Part::Variable(variable)], || {});
        return;
    }
    for case in contract::CASES {
        let name = format!("{cloud}::contract::{}", case.name);
        suite.test(&name, &[Part::Variable(variable)], move || {
            let directory = Path::from(format!("some/where/{}", case.name));
            let storage = ObjectStorage::new(open(), directory);
            Runtime::new()
                .expect("a runtime")
                .block_on((case.check)(Arc::new(storage)));
        });
    }
}

async fn checked() {
    client().check().await.expect("right settings");
    let wrong = settings("other");
    let login = AzureLogin::Key("d3Jvbmc=".to_owned());
    let client = Azure::new(&wrong, &login).expect("settings that can be used");
    let reason = client.check().await.expect_err("a wrong key");
    assert!(
        reason.contains("`storage.azure.container` \"other\": the credentials are not accepted"),
        "{reason}"
    );
    let client = Azure::new(&wrong, &key()).expect("settings that can be used");
    let reason = client.check().await.expect_err("no such container");
    assert!(
        reason.contains("`storage.azure.container` \"other\" does not exist at http"),
        "{reason}"
    );
    let store = azure();
    let path = Path::from("some/where/start/k");
    store.put(&path, "k".into()).await.expect("a put");
    store
        .copy(&path, &Path::from("some/where/start/copy"))
        .await
        .expect("a copy");
}

fn azure() -> Arc<dyn Store> {
    Arc::new(client())
}

fn client() -> Azure {
    Azure::new(&settings(BUCKET), &key()).expect("settings that can be used")
}

fn key() -> AzureLogin {
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    AzureLogin::Key(key.to_owned())
}

fn settings(container: &str) -> AzureSettings {
    AzureSettings {
        account: "devstoreaccount1".to_owned(),
        container: container.to_owned(),
        endpoint: std::env::var(AZURE).expect("the suite needs it"),
        prefix: "some/where".to_owned(),
        skip_verify: false,
        max_retries: 5,
        retry_delay: Duration::from_millis(100),
    }
}

fn gcs() -> Arc<dyn Store> {
    let settings = GcsSettings {
        bucket: BUCKET.to_owned(),
        user_agent: None,
        endpoint: Some(std::env::var(GCS).expect("the suite needs it")),
    };
    Arc::new(Gcs::new(&settings, &GcsLogin::None).expect("settings that can be used"))
}
