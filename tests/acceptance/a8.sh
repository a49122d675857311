# A6, A7, A8: deleting by digest, by tag, and whole repositories; and the way back.
cat > config.yml <<YAML
version: 0.1
storage:
  filesystem:
    rootdirectory: $PWD/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
YAML
export REGISTRY_CONFIGURATION_PATH=$PWD/config.yml
start registry serve config.yml
R=http://127.0.0.1:$port

# push NAME TAG TEXT: a small image; sets `D` to its digest, and `CONFIG_DIGEST`.
push() {
    printf '%s' "$3" > layer
    printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["x=%s"]}}' "$3" > config
    for file in layer config; do
        digest=sha256:$(sha256sum $file | cut -d ' ' -f 1)
        location=$(curl -s -i -X POST "$R/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
        case $location in *\?*) separator='&' ;; *) separator='?' ;; esac
        curl -s -f -X PUT -H 'Content-Type: application/octet-stream' --data-binary @$file "$location${separator}digest=$digest"
    done
    type=application/vnd.docker.distribution.manifest.v2+json
    CONFIG_DIGEST=sha256:$(sha256sum config | cut -d ' ' -f 1)
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%s,"digest":"%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":%s,"digest":"sha256:%s"}]}' \
        $type "$(stat -c %s config)" "$CONFIG_DIGEST" "$(stat -c %s layer)" "$(sha256sum layer | cut -d ' ' -f 1)" > manifest
    D=sha256:$(sha256sum manifest | cut -d ' ' -f 1)
    curl -s -f -X PUT -H "Content-Type: $type" --data-binary @manifest "$R/v2/$1/manifests/$2"
}
repositories() { curl -s "$R/v2/_catalog" | jq -c .repositories; }
tags() { curl -s "$R/v2/$1/tags/list" | jq -c .tags; }
# is STATUS ARGUMENTS...: what curl is answered.
is() {
    wanted=$1
    shift
    [ "$(curl -s -o said -w '%{http_code}' "$@")" = "$wanted" ]
}

# A6
push greet-python 1.0 greetings
push greet-python latest greetings
push other 1.0 greetings
curl -s -X DELETE --head "$R/v2/greet-python/manifests/$D" | grep ' 202 '
is 404 -I "$R/v2/greet-python/manifests/$D"
is 404 "$R/v2/greet-python/manifests/1.0" && grep MANIFEST_UNKNOWN said
is 404 -X DELETE "$R/v2/greet-python/manifests/$D"
is 200 "$R/v2/other/manifests/$D"
push greet-python 1.0 greetings
is 404 -X DELETE "$R/v2/greet-python/manifests/$CONFIG_DIGEST" && grep "$D" said
is 200 "$R/v2/greet-python/manifests/1.0"
is 200 "$R/v2/greet-python/blobs/$CONFIG_DIGEST"
is 400 -X DELETE "$R/v2/greet-python/manifests/sha256:096efd74bb89d5ec92cb3a61c79cf8ceab00c135b7d3e" && grep DIGEST_INVALID said

# A7
push g 1.0 x
push g latest x
curl -s -X DELETE --head "$R/v2/g/manifests/1.0" | grep ' 202 '
[ "$(tags g)" = '["latest"]' ]
is 200 "$R/v2/g/manifests/latest"
is 404 -X DELETE "$R/v2/g/manifests/1.0"
fails 2 wharf tag rm g:latest < /dev/null
grep -- '--yes' said
[ "$(tags g)" = '["latest"]' ]
wharf tag rm g:latest --yes | tee said
grep 'deleted from g: 1 tag(s), 1 manifest(s)' said
id=$(sed -n 's/^`wharf trash restore \([^ `]*\)`.*/\1/p' said)
is 404 "$R/v2/g/manifests/latest"
# Without a tag it is not in the catalogue.
[ "$(repositories)" = '["greet-python","other"]' ]
wharf trash ls | tee said
grep "$id *g *tags: 1 tag(s), 1 manifest(s)" said
wharf trash show "$id" | grep "^tag *latest *$D"
wharf trash restore "$id" | grep '^restored to g: 1 tag(s), 1 manifest(s)'
is 200 "$R/v2/g/manifests/latest"
fails 1 wharf tag rm g:none --yes
fails 1 wharf repo rm g --if-empty --yes
grep '1 tag(s)' said

# A8
push greet-python latest more
push greet-python/sub 1.0 below
wharf repo rm greet-python --dry-run | tee said
grep '^  latest *sha256:' said
grep '2 manifest(s): 2 image' said
grep 'come free when the trash lets go of it on 20' said
grep 'stay, shared with other$' said
[ "$(tags greet-python)" = '["1.0","latest"]' ]
wharf repo rm greet-python --dry-run --json | jq -e '.[0].tags_total == 2 and .[0].bytes.free > 0'
wharf repo rm greet-python --yes | tee said
grep 'takes it back until' said
id=$(sed -n 's/^`wharf trash restore \([^ `]*\)`.*/\1/p' said)
[ "$(repositories)" = '["g","greet-python/sub","other"]' ]
is 404 "$R/v2/greet-python/tags/list"
[ "$(ls data/docker/registry/v2/repositories/greet-python)" = sub ]
is 200 "$R/v2/greet-python/sub/manifests/1.0"
wharf trash restore "$id"
[ "$(tags greet-python)" = '["1.0","latest"]' ]
wharf repo rm greet-python --yes --now | tee said
if grep 'trash restore' said; then exit 1; fi
# Behind our back, while it runs.
push org/nombre 1 text
rm -rf data/docker/registry/v2/repositories/org/nombre
[ "$(repositories)" = '["g","greet-python/sub","other"]' ]
push org/nombre 1 text
is 200 "$R/v2/org/nombre/manifests/1"
wharf tag rm org/nombre:1 other:1.0 --yes
[ "$(repositories)" = '["g","greet-python/sub"]' ]
fails 2 wharf trash empty < /dev/null
wharf trash empty --yes | grep 'gave up'
wharf trash ls | grep 'nothing is in the trash'
stop

# Without a server.
wharf tag rm g:latest --keep-image --yes | grep 'deleted from g: 1 tag(s), 0 manifest(s)'
id=$(wharf trash ls --json | jq -r '.deletions[0].id')
wharf trash restore "$id" --json | jq -e '.tags == ["latest"]'
wharf repo rm greet-python/sub --yes
[ ! -e data/docker/registry/v2/repositories/greet-python ]
