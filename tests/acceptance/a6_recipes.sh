# A6, A7: recipes with curl and jq that operators share, as they type them, and the requests of the tools that delete for them.
v2=application/vnd.docker.distribution.manifest.v2+json
list=application/vnd.docker.distribution.manifest.list.v2+json
htpasswd -Bbn alice pw > htpasswd
cat > config.yml <<YAML
version: 0.1
storage:
  filesystem:
    rootdirectory: $PWD/data
http:
  addr: 127.0.0.1:0
auth:
  htpasswd:
    realm: Registry Realm
    path: $PWD/htpasswd
YAML
start registry serve config.yml
R=http://localhost:$port

# blob NAME FILE: pushes a blob; prints its descriptor, of the media type TYPE.
blob() {
    digest=sha256:$(sha256sum "$2" | cut -d ' ' -f 1)
    location=$(curl -s -u alice:pw -i -X POST "$R/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
    case $location in *\?*) separator='&' ;; *) separator='?' ;; esac
    curl -s -f -u alice:pw -X PUT -H 'Content-Type: application/octet-stream' --data-binary @"$2" "$location${separator}digest=$digest"
    printf '{"mediaType":"%s","size":%s,"digest":"%s"}' "$3" "$(stat -c %s "$2")" "$digest"
}
# put NAME REFERENCE TYPE: pushes the manifest in the file `manifest`; sets `D` to its digest. Without a reference: by that.
put() {
    D=sha256:$(sha256sum manifest | cut -d ' ' -f 1)
    curl -s -f -u alice:pw -X PUT -H "Content-Type: $3" --data-binary @manifest "$R/v2/$1/manifests/${2:-$D}"
}
# push NAME REFERENCE TEXT: a small image; sets `D`, and `entry` to what an index says of it.
push() {
    printf '%s' "$3" > layer
    printf '{"architecture":"amd64","os":"linux","config":{"Env":["x=%s"]},"rootfs":{"type":"layers","diff_ids":[]}}' "$3" > config
    config=$(blob "$1" config application/vnd.docker.container.image.v1+json)
    layer=$(blob "$1" layer application/vnd.docker.image.rootfs.diff.tar.gzip)
    printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' $v2 "$config" "$layer" > manifest
    put "$1" "$2" $v2
    entry=$(printf '{"mediaType":"%s","size":%s,"digest":"%s","platform":{"architecture":"amd64","os":"linux"}}' $v2 "$(stat -c %s manifest)" "$D")
}
# is STATUS ARGUMENTS...: what curl is answered.
is() {
    wanted=$1
    shift
    [ "$(curl -s -u alice:pw -o said -w '%{http_code}' "$@")" = "$wanted" ]
}

# S0-13 to S0-17: catalogue, tags, digest, deletion.
push my-ubuntu latest ubuntu
ubuntu=$D
curl -u alice:pw -X GET -i -H "Accept: $v2" "$R/v2/_catalog" | tail -n 1 | jq -e '.repositories == ["my-ubuntu"]'
curl -u alice:pw -X GET -i -H "Accept: $v2" "$R/v2/my-ubuntu/tags/list" | tail -n 1 | jq -e '.name == "my-ubuntu" and .tags == ["latest"]'
curl -u alice:pw -X GET -i -H "Accept: $v2" "$R/v2/my-ubuntu/manifests/latest" | tr -d '\r' | tee said
grep -ix "docker-content-digest: $ubuntu" said
config=$(sed -n 's/.*"config":{[^}]*"digest":"\([^"]*\)".*/\1/p' said)
curl -u alice:pw -X DELETE -i -H "Accept: $v2" "$R/v2/my-ubuntu/manifests/$config" | tee said
grep 404 said && grep MANIFEST_UNKNOWN said && grep "$ubuntu" said
short=$(printf '%s' "$ubuntu" | cut -c 1-52)
curl -u alice:pw -X DELETE -i -H "Accept: $v2" "$R/v2/my-ubuntu/manifests/$short" | tee said
grep 400 said && grep DIGEST_INVALID said
curl -u alice:pw -X DELETE -i -H "Accept: $v2" "$R/v2/my-ubuntu/manifests/$ubuntu" | grep ' 202 '
is 404 "$R/v2/my-ubuntu/manifests/latest"

# S2-14, S2-15: without the password the answer says how; with it the digest is in the words of curl.
push myapp latest app
app=$D
curl -s "$R/v2/myapp/tags/list" | jq -e '.errors[0].code == "UNAUTHORIZED"'
curl -s -i "$R/v2/myapp/tags/list" | grep -i '^www-authenticate: Basic realm="Registry Realm"'
curl -s -u alice:pw "$R/v2/myapp/tags/list" | jq -e '.tags == ["latest"]'
curl -s -u alice:pw -v "$R/v2/myapp/manifests/latest" -H "Accept: $v2" 2>&1 | tr -d '\r' | grep -ix "< docker-content-digest: $app"
curl -s -u alice:pw -X DELETE -w '%{http_code}' "$R/v2/myapp/manifests/$app" | grep -x 202

# S4-47: in one line. It ends, although curl waits for a body; the digest keeps its `\r`, which no URL may have. The tag will do.
push nombre/imagen latest imagen
fails 3 curl -s -u alice:pw -X DELETE -v "$R/v2/nombre/imagen/manifests/$(timeout 20 curl -u alice:pw -H "Accept: $v2" -X HEAD -s "$R/v2/nombre/imagen/manifests/latest" -D - | grep -i 'Docker-Content-Digest:' | cut -d ' ' -f 2)"
is 200 "$R/v2/nombre/imagen/manifests/latest"
curl -u alice:pw -X DELETE -v "$R/v2/nombre/imagen/manifests/latest" 2>&1 | grep ' 202 '
is 404 "$R/v2/nombre/imagen/manifests/latest"

# S4-48: the digest that jq finds is that of the config; it deletes nothing.
push borrar/myimage latest mine
mine=$D
config=$(curl -s -u alice:pw -H "Accept: $v2" "$R/v2/borrar/myimage/manifests/latest" | jq -r '.config.digest')
is 404 -X DELETE "$R/v2/borrar/myimage/manifests/$config" && grep "$mine" said
is 200 "$R/v2/borrar/myimage/blobs/$config"
is 200 "$R/v2/borrar/myimage/manifests/latest"

# docker_reg_tool: lists without pages, deletes what a tag points at, and reads the tags that are left with `.tags[]`.
push borrar/myimage other other
curl -s -u alice:pw "$R/v2/_catalog?n=500" | jq -r '.repositories[]' | grep -x borrar/myimage
for tag in latest other; do
    digest=$(curl -s -u alice:pw -I -H "Accept: $v2" "$R/v2/borrar/myimage/manifests/$tag" | tr -d '\r' | sed -n 's/^docker-content-digest: //Ip')
    is 202 -X DELETE "$R/v2/borrar/myimage/manifests/$digest"
    is 404 -X DELETE "$R/v2/borrar/myimage/manifests/$digest"
    if [ $tag = latest ]; then curl -s -u alice:pw "$R/v2/borrar/myimage/tags/list" | jq -r '.tags[]' | grep -x other; fi
done
[ "$(curl -s -u alice:pw "$R/v2/_catalog?n=500" | jq -r '.repositories[]' | grep -c borrar)" = 0 ]

# docker-registry-manifest-cleanup: asks for the tags, looks into the directory for manifests that no tag points at, and deletes each of
# them by its digest. What a tagged list lists is not deleted that way.
push tidy '' first
first=$entry
push tidy '' second
printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s,%s]}' $list "$first" "$entry" > manifest
put tidy multi $list
multi=$D
push tidy moved old
old=$D
push tidy moved new
new=$D
for tag in $(curl -s -u alice:pw "$R/v2/tidy/tags/list" | jq -r '.tags[]'); do
    curl -s -u alice:pw -I -H "Accept: $v2" -H "Accept: $list" "$R/v2/tidy/manifests/$tag" | tr -d '\r' | sed -n 's/^docker-content-digest: sha256://Ip'
done > tagged
for hex in $(ls data/docker/registry/v2/repositories/tidy/_manifests/revisions/sha256); do
    if grep -qx "$hex" tagged; then continue; fi
    echo "$hex $(curl -s -u alice:pw -o answer -w '%{http_code}' -X DELETE "$R/v2/tidy/manifests/sha256:$hex")"
done > cleaned
[ "$(wc -l < cleaned)" = 3 ]
grep "^${old#sha256:} 202" cleaned
[ "$(grep -c ' 409$' cleaned)" = 2 ]
for digest in $(curl -s -u alice:pw -H "Accept: $list" "$R/v2/tidy/manifests/multi" | jq -r '.manifests[].digest'); do
    is 200 "$R/v2/tidy/manifests/$digest"
done
is 200 "$R/v2/tidy/manifests/$new"
is 200 "$R/v2/tidy/manifests/$multi"
stop
