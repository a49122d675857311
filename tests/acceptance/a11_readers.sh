# Other programs read a backup.
mkdir data
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: "127.0.0.1:0"}\n' "$PWD" > config.yml
start registry serve config.yml
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}' > config
printf layer > layer
mkdir -p image/blobs/sha256
config=$(sha256sum config | cut -d ' ' -f 1)
layer=$(sha256sum layer | cut -d ' ' -f 1)
mv config "image/blobs/sha256/$config"
mv layer "image/blobs/sha256/$layer"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%s,"digest":"sha256:%s"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":5,"digest":"sha256:%s"}]}' \
    "$(stat -c %s "image/blobs/sha256/$config")" "$config" "$layer" > manifest
manifest=$(sha256sum manifest | cut -d ' ' -f 1)
printf '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"it"}}]}' \
    "$manifest" "$(stat -c %s manifest)" > image/index.json
mv manifest "image/blobs/sha256/$manifest"
skopeo --insecure-policy copy --dest-tls-verify=false oci:image:it "docker://127.0.0.1:$port/team/app:1.0"
digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://127.0.0.1:$port/team/app:1.0")
wharf backup --config config.yml --to backups
wharf backup --config config.yml --to b.tar.zst
stop
[ "$(skopeo inspect --format '{{.Digest}}' oci:backups:team/app:1.0)" = "$digest" ]
skopeo --insecure-policy copy oci:backups:team/app:1.0 dir:out
[ "sha256:$(sha256sum < out/manifest.json | cut -d ' ' -f 1)" = "$digest" ]
mkdir layout
tar --zstd -xf b.tar.zst -C layout
skopeo --insecure-policy copy oci:layout:team/app:1.0 dir:out2
cmp out/manifest.json out2/manifest.json
