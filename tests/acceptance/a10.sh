# A10: keep the last five, dry first; with the dates of the builds in reverse. And the rules of the configuration.
configure() {
    cat > config.yml <<YAML
version: 0.1
storage:
  filesystem:
    rootdirectory: $PWD/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
collect: {grace: 0}
$1
YAML
}
configure ''
export REGISTRY_CONFIGURATION_PATH=$PWD/config.yml
start registry serve config.yml
R=http://127.0.0.1:$port

put() { # put NAME FILE: the blob; sets `digest`.
    digest=sha256:$(sha256sum "$2" | cut -d ' ' -f 1)
    location=$(curl -s -i -X POST "$R/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
    case $location in *\?*) separator='&' ;; *) separator='?' ;; esac
    curl -s -f -X PUT -H 'Content-Type: application/octet-stream' --data-binary @"$2" "$location${separator}digest=$digest"
}
# push NAME TAG TEXT [CREATED [CONFIG TYPE [MANIFEST TYPE]]]: a small image; sets `D` to its digest.
push() {
    config_type=${5:-application/vnd.docker.container.image.v1+json}
    type=${6:-application/vnd.docker.distribution.manifest.v2+json}
    printf '%s' "$3" > layer
    printf '{"architecture":"amd64","os":"linux","created":"%s","rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["x=%s"]}}' "${4:-2026-01-01T00:00:00Z}" "$3" > config
    put "$1" layer
    put "$1" config
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","size":%s,"digest":"sha256:%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":%s,"digest":"sha256:%s"}]}' \
        "$type" "$config_type" "$(stat -c %s config)" "$(sha256sum config | cut -d ' ' -f 1)" "$(stat -c %s layer)" "$(sha256sum layer | cut -d ' ' -f 1)" > manifest
    D=sha256:$(sha256sum manifest | cut -d ' ' -f 1)
    curl -s -f -X PUT -H "Content-Type: $type" --data-binary @manifest "$R/v2/$1/manifests/$2"
}
tags() { curl -s "$R/v2/$1/tags/list" | jq -c '.tags // []'; }

# Twelve tags, the oldest first; their builds say that the oldest is the newest.
for version in 01 02 03 04 05 06 07 08 09 10 11; do
    push name/api "1.$version" "api $version" "2026-01-$(printf %02d $((32 - ${version#0})))T00:00:00Z"
done
push name/api stable "api 02" "2026-01-30T00:00:00Z"
push test 1.0 test
push test 2.0 'test, second'
push testxxx 1.0 testxxx
push oci/app 1.0 'an OCI image' 2026-01-01T00:00:00Z application/vnd.oci.image.config.v1+json application/vnd.oci.image.manifest.v1+json
for version in 1-SNAPSHOT 2-SNAPSHOT v1-SNAPSHOT 1.0; do push snapshots $version "snapshot $version"; done
push cached latest application
push cached buildcache 'a cache' 2026-01-01T00:00:00Z application/vnd.buildkit.cacheconfig.v0 application/vnd.oci.image.manifest.v1+json
push multi/app child 'a child'
printf '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":%s,"digest":"%s","platform":{"architecture":"amd64","os":"linux"}}]}' \
    "$(stat -c %s manifest)" "$D" > list
curl -s -f -X PUT -H 'Content-Type: application/vnd.docker.distribution.manifest.list.v2+json' --data-binary @list "$R/v2/multi/app/manifests/1.0"

# Dry: seven go, each with a reason, and nothing has changed.
fails 10 wharf prune name/api --keep 5
[ "$(grep -c ' goes ' said)" = 7 ]
[ "$(grep -c ' stays ' said)" = 5 ]
grep '^ *1.07 *goes .* 6th newest, and 5 stay' said
grep '^ *stable *stays .* newest of 5 that stay' said
grep '7 tag(s) and 6 manifest(s) go from 1 repositories' said
[ "$(tags name/api)" = '["1.01","1.02","1.03","1.04","1.05","1.06","1.07","1.08","1.09","1.10","1.11","stable"]' ]
fails 10 wharf prune name/api --latest 5 --dry --json
[ "$(jq -c '[.plans[0].verdicts[] | select(.goes) | .tag] | sort' said)" = '["1.01","1.02","1.03","1.04","1.05","1.06","1.07"]' ]

# deckschrubber's requests, for images of Docker: repositories in pages, tags, manifests, and their configurations.
next="$R/v2/_catalog?n=3"
: > seen
while [ -n "$next" ]; do
    curl -s -D headers "$next" | jq -r '.repositories[]' >> seen
    next=$(tr -d '\r' < headers | sed -n 's/^[Ll]ink: <\([^>]*\)>.*/\1/p')
    case $next in /*) next=$R$next ;; esac
done
[ "$(wc -l < seen)" = 7 ]
for tag in $(tags name/api | jq -r '.[]'); do
    curl -s -f -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' -D headers "$R/v2/name/api/manifests/$tag" > answer
    grep -i '^docker-content-digest: sha256:' headers
    curl -s -f "$R/v2/name/api/blobs/$(jq -r .config.digest answer)" | jq -e .created
done

# Exactly the five that were pushed last.
wharf prune name/api --keep 5 --apply | tee said
grep 'deleted from name/api: 7 tag(s), 6 manifest(s)' said
[ "$(tags name/api)" = '["1.08","1.09","1.10","1.11","stable"]' ]
wharf prune name/api --keep 5 --apply
id=$(sed -n 's/^`wharf trash restore \([^ `]*\)`.*/\1/p' said)
wharf trash restore "$id" | grep '^restored to name/api: 7 tag(s)'
[ "$(tags name/api | jq length)" = 12 ]
wharf prune name/api --keep 5 --apply --now
fails 1 wharf prune name/ap --keep 5
grep 'there is no repository `name/ap`' said

# A name is a name, and the last tags go only when they are meant to.
fails 1 wharf prune test --keep 0 --apply
grep 'refused: test: 2 of 2 tags would go' said
[ "$(tags test)" = '["1.0","2.0"]' ]
wharf prune test --keep 0 --apply --force
[ "$(tags test)" = '[]' ]
[ "$(tags testxxx)" = '["1.0"]' ]

# By age and by patterns. Months are not minutes.
wharf prune --all --older-than 2m2d --tag 're:^.*-SNAPSHOT$' --not-tag 'v*'
fails 2 wharf prune --all --older-than 2m --tag 're:^.*-SNAPSHOT$'
grep '2mo' said
fails 10 wharf prune --all --older-than 0s --tag 're:^.*-SNAPSHOT$' --not-tag 'v*'
[ "$(grep -c ' goes ' said)" = 2 ]
wharf prune --all --older-than 0s --tag 're:^.*-SNAPSHOT$' --not-tag 'v*' --apply
[ "$(tags snapshots)" = '["1.0","v1-SNAPSHOT"]' ]
# Build caches alone.
wharf prune --all --kind cache --keep 0 --apply
[ "$(tags cached)" = '["latest"]' ]
# The tags of an index and of its child.
wharf prune 'multi/*' --keep 1 --apply
curl -s -f "$R/v2/multi/app/manifests/1.0" -H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' | cmp - list
curl -s -f "$R/v2/multi/app/manifests/$D" | cmp - manifest

# S4-46: a tag that is pushed again and again. Its history is there until it is not kept any more.
for number in 1 2 3; do push user/repo latest "again $number"; done
entries=data/docker/registry/v2/repositories/user/repo/_manifests/tags/latest/index/sha256/
[ "$(ls $entries | wc -l)" = 3 ]
wharf tag history user/repo:latest | grep -c sha256: | grep -x 3
wharf prune user/repo --untagged=0s
fails 10 wharf prune user/repo --untagged=0s --keep-history 0s
wharf prune user/repo --untagged=0s --keep-history 0s --apply --now
[ "$(ls $entries | wc -l)" = 1 ]
wharf gc
curl -s -f "$R/v2/user/repo/manifests/latest" | cmp - manifest

# What it needs to be told.
fails 1 wharf prune --all
grep -- '--keep N' said
fails 1 wharf prune --keep 5
grep -- '--all' said
fails 1 wharf prune --policy
grep 'retention.rules' said
fails 2 wharf prune --all --keep 5 --tag '['
fails 2 wharf prune --all --keep 5 --kind images
stop

# Without a server.
fails 10 wharf prune name/api --keep 4
wharf prune name/api --keep 4 --apply

# The rules of the configuration, on a schedule. At first they only tell.
rules='retention:
  schedule: 1s
  protect: [stable, "v*"]
  rules:
    - repositories: ["name/*"]
      keep: 2
    - repositories: [cached]
      untagged: 30d'
configure "$rules"
start registry serve config.yml
R=http://127.0.0.1:$port
until grep 'retention would delete' server.log; do sleep 0.1; done
[ "$(tags name/api | jq length)" = 4 ]
fails 10 wharf prune --policy
grep 'stable *stays .*protected by `stable`' said
stop
configure "$rules
  apply: true"
start registry serve config.yml
R=http://127.0.0.1:$port
until [ "$(tags name/api)" = '["1.10","1.11","stable"]' ]; do sleep 0.1; done
wharf trash ls | grep 'name/api *retention: 1 tag(s)'
until wharf activity --action delete --json | grep '"tag":"1.09"'; do sleep 0.1; done
stop
