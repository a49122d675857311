"""Pushes a file, pulls it back, attaches a second manifest to it; prints `done`."""

import sys

import oras.client
import oras.oci
import oras.provider

host = sys.argv[1]
target = f"{host}/oras/artifact:1"

client = oras.client.OrasClient(insecure=True)
answer = client.push(target=target, files=["artifact.txt"], disable_path_validation=True)
assert answer.status_code == 201, answer.text
assert client.get_tags(f"{host}/oras/artifact") == ["1"]

pulled = client.pull(target=target, outdir="pulled")
assert len(pulled) == 1, pulled

registry = oras.provider.Registry(insecure=True)
container = registry.get_container(target)
head = registry.do_request(
    f"http://{container.manifest_url()}",
    "HEAD",
    headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
)
note = oras.oci.NewManifest()
config, config_file = oras.oci.ManifestConfig("empty.json")
registry.upload_blob(config_file, container, config)
note["config"] = config
note["artifactType"] = "application/vnd.example.note"
note["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
note["subject"] = {
    "mediaType": head.headers["Content-Type"],
    "digest": head.headers["Docker-Content-Digest"],
    "size": int(head.headers["Content-Length"]),
}
attached = registry.upload_manifest(note, registry.get_container(f"{host}/oras/artifact:note"))
assert attached.status_code == 201, attached.text

# This client deletes a tag by the digest that it names.
assert client.push(target=f"{host}/oras/gone:1", files=["artifact.txt"], disable_path_validation=True)
assert client.delete_tags(f"{host}/oras/gone", ["1"]) == ["1"]
print("done")
