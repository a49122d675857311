# A14: the data directory of registry:2, with its configuration file, as it is; and the way back.
cat > config.yml <<YAML
version: 0.1
log:
  level: info
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: $PWD/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
  headers:
    X-Content-Type-Options: [nosniff]
unknownkey: ours and theirs live on
YAML

# theirs: starts registry:2; sets `url`.
theirs() {
    docker-registry serve config.yml > server.log 2>&1 &
    server=$!
    for _ in $(seq 300); do
        url=http://$(sed -n 's/.*listening on \(127.0.0.1:[0-9]*\).*/\1/p' server.log | head -n 1)
        if [ "$url" != http:// ]; then return; fi
        sleep 0.1
    done
    return 1
}

halt() {
    kill "$server"
    wait "$server" || true
    server=
}

# push NAME TAG TEXT: a small image.
push() {
    printf '%s' "$3" > layer
    printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["x=%s"]}}' "$3" > config
    for file in layer config; do
        digest=sha256:$(sha256sum $file | cut -d ' ' -f 1)
        location=$(curl -s -i -X POST "$url/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
        case $location in *\?*) separator='&' ;; *) separator='?' ;; esac
        curl -s -f -X PUT -H 'Content-Type: application/octet-stream' --data-binary @$file "$location${separator}digest=$digest"
    done
    type=application/vnd.docker.distribution.manifest.v2+json
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%s,"digest":"sha256:%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":%s,"digest":"sha256:%s"}]}' \
        $type "$(stat -c %s config)" "$(sha256sum config | cut -d ' ' -f 1)" "$(stat -c %s layer)" "$(sha256sum layer | cut -d ' ' -f 1)" > manifest
    curl -s -f -X PUT -H "Content-Type: $type" --data-binary @manifest "$url/v2/$1/manifests/$2"
}

# everything: all that can be read, as a list of names and digests.
everything() {
    for name in $(curl -s "$url/v2/_catalog" | jq -r '.repositories[]'); do
        for tag in $(curl -s "$url/v2/$name/tags/list" | jq -r '.tags[]?' | sort); do
            curl -s -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "$url/v2/$name/manifests/$tag" > read
            echo "$name:$tag $(sha256sum < read)"
            for blob in $(jq -r '.config.digest, .layers[].digest' read); do
                echo "  $blob $(curl -s -f "$url/v2/$name/blobs/$blob" | sha256sum)"
            done
        done
    done
}

theirs
push greet-python 0.1 one
push greet-python latest two
push org/deep/name 1.0 three
push greet-python latest four
# An upload that nobody finished.
curl -s -o /dev/null -X POST "$url/v2/greet-python/blobs/uploads/"
everything > before
halt
[ "$(wc -l < before)" = 9 ]

start registry serve config.yml
url=http://127.0.0.1:$port
grep 'unknownkey' server.log
everything > with-ours
diff before with-ours
push greet-python ours five
push new/one 1 six
curl -s -f -X DELETE "$url/v2/greet-python/manifests/0.1"
everything > after
stop

theirs
everything > theirs-again
diff after theirs-again
halt
