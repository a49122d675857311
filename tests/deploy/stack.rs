//! The stack of Compose on a bucket: its files fit together, and what they describe works.

use wharf_testkit::{
    Client, Value,
    bucket::{BucketStore, VERSITYGW},
    image, json, nginx,
    suite::{Part, Suite},
    tool,
};

use crate::{checked, replica::on_bucket, yaml};

const DIRECTORY: &str = "packaging/compose/s3";

/// The services that are replicas of the registry.
const REPLICAS: [&str; 2] = ["registry-1", "registry-2"];

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("compose_stack_fits_together", &[], fits_together);
    suite.test(
        "compose_stack_is_what_compose_takes",
        &[Part::Program("docker-compose")],
        compose_takes_it,
    );
    suite.test(
        "compose_stack_pushes_and_pulls_through_both_replicas",
        &[Part::Program("nginx"), Part::Program(VERSITYGW)],
        || wharf_testkit::run(works()),
    );
}

fn file(name: &str) -> String {
    let path = tool::root_directory().join(DIRECTORY).join(name);
    std::fs::read_to_string(path).expect("the stack has this file")
}

fn services() -> Value {
    yaml::document(&file("docker-compose.yml"))["services"].clone()
}

/// A value as Compose makes it of `${NAME:-DEFAULT}` without a variable of that name.
fn interpolated(text: &Value) -> String {
    let text = text.as_str().expect("it is a text");
    let default = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let default = default.and_then(|inside| inside.split_once(":-"));
    default.map_or(text, |(_, default)| default).to_owned()
}

/// The variables of a service.
fn variables(service: &Value) -> Vec<(String, String)> {
    let environment = service["environment"].as_object().expect("it has variables");
    environment
        .iter()
        .map(|(name, value)| (name.clone(), interpolated(value)))
        .collect()
}

fn fits_together() {
    let services = services();
    let (store, proxy) = (&services["store"], &services["proxy"]);
    let keys = variables(store);
    for name in REPLICAS {
        let replica = &services[name];
        assert_eq!(*replica, services[REPLICAS[0]], "the replicas are alike");
        checked::is_good(&file("config.yml"), &variables(replica));
        for (theirs, ours) in [("ROOT_ACCESS_KEY", "ACCESSKEY"), ("ROOT_SECRET_KEY", "SECRETKEY")] {
            let value = &keys.iter().find(|(key, _)| key == theirs).expect("a key").1;
            let ours = format!("REGISTRY_STORAGE_S3_{ours}");
            assert!(variables(replica).contains(&(ours, value.clone())), "{theirs}");
        }
        assert_eq!(
            replica["volumes"],
            json!(["./config.yml:/etc/docker/registry/config.yml:ro"])
        );
        let server = format!("server {name}:5000;");
        assert!(file("nginx.conf").contains(&server), "`{server}`");
    }
    assert_eq!(
        proxy["volumes"],
        json!(["./nginx.conf:/etc/nginx/conf.d/default.conf:ro"])
    );
    let config = yaml::document(&file("config.yml"));
    let bucket = &config["storage"]["s3"];
    let port = store["command"][1].as_str().expect("a port");
    assert_eq!(bucket["regionendpoint"], format!("http://store{port}"));
    let made = format!("mkdir -p /data/{} ", bucket["bucket"].as_str().expect("a name"));
    assert!(
        store["entrypoint"][2]
            .as_str()
            .expect("a script")
            .starts_with(&made)
    );
    for (name, service) in services.as_object().expect("services") {
        let image = service["image"].as_str().expect("an image");
        assert!(image.contains(':'), "{name}: {image} has a tag");
    }
    // What stands in front is the recipe of the document, with both replicas behind it.
    let recipe = std::fs::read_to_string(tool::root_directory().join("docs/nginx.md"));
    let recipe = recipe.expect("there is the document");
    let block = |text: &str| {
        let (_, rest) = text.split_once("    location / {").expect("a location");
        rest.split_once('}').expect("its end").0.to_owned()
    };
    assert_eq!(block(&file("nginx.conf")), block(&recipe));
}

fn compose_takes_it() {
    let bench = tool::Bench::new();
    let directory = tool::root_directory().join(DIRECTORY);
    let path = directory.join("docker-compose.yml").display().to_string();
    let effective = bench.run("docker-compose", &["--file", &path, "config"]);
    let services = yaml::document(&effective)["services"].clone();
    let names: Vec<&String> = services.as_object().expect("services").keys().collect();
    assert_eq!(names, ["proxy", "registry-1", "registry-2", "store"]);
    assert_eq!(
        services["registry-2"]["environment"]["REGISTRY_STORAGE_S3_ACCESSKEY"],
        "registry"
    );
}

/// The store, both replicas and nginx, as processes: any request of a push may reach any replica.
async fn works() {
    let store = BucketStore::start();
    let replica = || on_bucket(&store.endpoint()).start();
    let replicas = [replica(), replica()];
    let addresses = [0, 1].map(|at: usize| replicas[at].address().to_string());
    let proxy = nginx::start_file(
        "packaging/compose/s3/nginx.conf",
        &[
            ("registry-1:5000", &addresses[0]),
            ("registry-2:5000", &addresses[1]),
        ],
    );
    let client = Client::http1(proxy.address());
    let repository = client.repository("through/both");
    for tag in 1..=3 {
        repository.push_image(&tag.to_string(), &image::oci(tag)).await;
        repository.pull_image(&tag.to_string(), &image::oci(tag)).await;
    }
    assert_eq!(repository.tags().await, ["1", "2", "3"]);
    for replica in &replicas {
        replica.says("/v2/through/both/").await;
        let alone = Client::http1(replica.address()).repository("through/both");
        alone.pull_image("1", &image::oci(1)).await;
    }
}
