# A5: whatever the client accepts, the digest is that of the stored manifest, and so are the bytes.
v2=application/vnd.docker.distribution.manifest.v2+json
list=application/vnd.docker.distribution.manifest.list.v2+json
oci=application/vnd.oci.image.manifest.v1+json
index=application/vnd.oci.image.index.v1+json
v1=application/vnd.docker.distribution.manifest.v1+prettyjws
url=http://$R/v2/g/manifests/$TAG

look() {
    curl -s -D head -o body "$@" "$url"
    head -1 head | grep ' 200 '
    tr -d '\r' < head | grep -x "Docker-Content-Digest: $D"
    tr -d '\r' < head | grep -x "Content-Type: $TYPE"
    [ "sha256:$(sha256sum body | cut -d ' ' -f 1)" = "$D" ]
    curl -s -I "$@" "$url" > head
    head -1 head | grep ' 200 '
    [ "$(grep 'Docker-Content-Digest:' head | cut -d ' ' -f 2 | tr -d '\r')" = "$D" ]
}

look -H 'Accept:'
look -H 'Accept: */*'
look -H "Accept: $v2"
look -H "Accept: $v2" -H "Accept: $list"
look -H "Accept: $oci, $index"
look -H "Accept: $list, $v1, application/json, $v2"

# It ends by itself, although curl waits for a body.
timeout 20 curl -X HEAD -s -D - "$url" | tr -d '\r' | grep -x "Docker-Content-Digest: $D"

wharf inspect "$R/g:$TAG" | tee text
grep "^digest *$D" text
grep "^type *$TYPE" text
grep '^platforms *linux/amd64' text
wharf inspect "$R/g:$TAG" --raw | cmp - body
wharf inspect "$R/g:$TAG" --json | jq -e --arg d "$D" --arg t "$TYPE" '.digest == $d and .mediaType == $t and .size > 0'
case $TAG in
list | index)
    wharf inspect "$R/g:$TAG" --platform linux/arm64 | tee text
    grep '^config *sha256:' text && grep '^layer *sha256:' text
    fails 1 wharf inspect "$R/g:$TAG" --platform plan9/mips
    grep 'linux/amd64' said
    ;;
*)
    config=$(jq -r .config.digest body)
    grep "^config *$config" text
    grep '^layer *sha256:' text
    # S0-16: the digest that everybody copies by mistake deletes nothing, and the answer says which one is right.
    curl -s -X DELETE "http://$R/v2/g/manifests/$config" | tee said
    grep "$D" said
    fails 1 wharf inspect "$R/g@$config"
    ;;
esac
fails 1 wharf inspect "$R/g:nope"
grep 'has no tag `nope`' said
