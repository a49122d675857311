//! The `oci-client` crate as a program: one sub-command for each thing that the client tests ask of it.

use anyhow::{Context, Result, bail, ensure};
use oci_client::client::{Client, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};

const NOBODY: &RegistryAuth = &RegistryAuth::Anonymous;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["push-and-pull", image] => push_and_pull(&client, &image.parse()?).await,
        ["tags", image] => tags(&client, &image.parse()?).await,
        ["manifest", image] => manifest(&client, &image.parse()?).await,
        ["referrers", image, artifact_type] => referrers(&client, &image.parse()?, artifact_type).await,
        ["mount", from, to] => mount(&client, &from.parse()?, &to.parse()?).await,
        _ => bail!("unknown command {arguments:?}"),
    }
}

/// Pushes a layer of 9 MiB, which the crate sends in chunks, pulls it back, and prints the manifest's digest.
async fn push_and_pull(client: &Client, image: &Reference) -> Result<()> {
    let layer = ImageLayer::new(vec![7_u8; 9 << 20], IMAGE_LAYER_MEDIA_TYPE.to_owned(), None);
    let config = Config::new(&b"{}"[..], IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    let document = OciImageManifest::build(std::slice::from_ref(&layer), &config, None);
    client.push(image, std::slice::from_ref(&layer), config, NOBODY, Some(document)).await.context("push")?;
    let pulled = client.pull(image, NOBODY, vec![IMAGE_LAYER_MEDIA_TYPE]).await.context("pull")?;
    ensure!(pulled.layers.len() == 1 && pulled.layers[0].data == layer.data, "the layer came back changed");
    println!("{}", pulled.digest.context("a pull knows its digest")?);
    Ok(())
}

async fn tags(client: &Client, image: &Reference) -> Result<()> {
    for tag in client.list_tags(image, NOBODY, None, None).await?.tags {
        println!("{tag}");
    }
    Ok(())
}

/// Prints the digest of a manifest, then those of its children.
async fn manifest(client: &Client, image: &Reference) -> Result<()> {
    let (document, digest) = client.pull_manifest(image, NOBODY).await?;
    println!("{digest}");
    if let OciManifest::ImageIndex(index) = document {
        for child in index.manifests {
            println!("{}", child.digest);
        }
    }
    Ok(())
}

async fn referrers(client: &Client, image: &Reference, artifact_type: &str) -> Result<()> {
    for referrer in client.pull_referrers(image, Some(artifact_type)).await?.manifests {
        println!("{}", referrer.digest);
    }
    Ok(())
}

/// Mounts the first layer of `from` in the repository of `to`, and prints its digest.
async fn mount(client: &Client, from: &Reference, to: &Reference) -> Result<()> {
    client.auth(to, NOBODY, RegistryOperation::Push).await?;
    let (image, _) = client.pull_image_manifest(from, NOBODY).await?;
    let layer = &image.layers.first().context("the image has no layer")?.digest;
    client.mount_blob(to, from, layer).await?;
    println!("{layer}");
    Ok(())
}
