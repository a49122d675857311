//! The power fails while many objects go at once.

use wharf_oci::Digest;

use super::{Client, pattern, survives_a_cut_anywhere};
use crate::{Key, Objects, Removal, Result, layout};

/// Removes in the order of a collection: history, revisions, layer links, blobs, each kind in one call.
#[test]
fn a_sweep_survives() {
    survives_a_cut_anywhere(async |client| {
        let name = client.repository.clone();
        let latest = "latest";
        let layers = [
            client.push_blob("a", &[pattern(1, 100)]).await?,
            client.push_blob("b", &[pattern(2, 100)]).await?,
        ];
        let old = client.push_manifest("latest", "old").await?;
        let older = client.push_manifest("latest", "older").await?;
        client.push_manifest("latest", "new").await?;
        let manifests = [old, older];
        let keys =
            |key: &dyn Fn(&Digest) -> Key, digests: &[Digest]| digests.iter().map(key).collect::<Vec<_>>();
        let history = |digest: &Digest| layout::tag_history_link(&name, &latest, digest);
        delete_all(&client, &keys(&history, &manifests)).await?;
        delete_all(
            &client,
            &keys(&|digest| layout::revision_link(&name, digest), &manifests),
        )
        .await?;
        delete_all(
            &client,
            &keys(&|digest| layout::layer_link(&name, digest), &layers),
        )
        .await?;
        delete_all(&client, &keys(&layout::blob, &[layers[0], layers[1], old, older])).await?;
        client.push_manifest("latest", "old").await?;
        Ok(())
    });
}

/// Takes all of `keys` away in one call.
async fn delete_all(client: &Client, keys: &[Key]) -> Result<()> {
    keys.iter().for_each(|key| client.ledger.begin(key, None));
    let removals: Vec<_> = keys
        .iter()
        .map(|key| Removal {
            key: key.clone(),
            keep: key.parent().and_then(|above| above.parent()).unwrap(),
        })
        .collect();
    client.storage.remove_many(&removals).await?;
    keys.iter().for_each(|key| client.ledger.acknowledge(key, None));
    Ok(())
}
