# A11: a plain tar and our own backups, beside a server that takes pushes; restores, also into the wrong directory.
mkdir -p registry/data
cat > registry/config.yml <<YAML
version: 0.1
storage:
  filesystem:
    rootdirectory: $PWD/registry/data
  delete:
    enabled: true
auth:
  htpasswd:
    realm: registry
    path: $PWD/registry/htpasswd
http:
  addr: 127.0.0.1:0
YAML
wharf user add alice --generate --out pw --file registry/htpasswd
login=alice:$(cat pw)

# up [DATA]: starts the server; sets `url`.
up() {
    start env "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=${1:-$PWD/registry/data}" registry serve registry/config.yml
    url=http://127.0.0.1:$port
}

# push NAME TAG TEXT: a small image.
push() {
    mkdir -p "push/$1"
    (
        cd "push/$1"
        printf '%s' "$3" > layer
        printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["x=%s"]}}' "$3" > config
        for file in layer config; do
            digest=sha256:$(sha256sum $file | cut -d ' ' -f 1)
            location=$(curl -s -u "$login" -i -X POST "$url/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //Ip')
            case $location in /*) location=$url$location ;; esac
            case $location in *\?*) separator='&' ;; *) separator='?' ;; esac
            curl -s -f -u "$login" -X PUT -H 'Content-Type: application/octet-stream' --data-binary @$file "$location${separator}digest=$digest"
        done
        type=application/vnd.oci.image.manifest.v1+json
        printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%s,"digest":"sha256:%s"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":%s,"digest":"sha256:%s"}]}' \
            $type "$(stat -c %s config)" "$(sha256sum config | cut -d ' ' -f 1)" "$(stat -c %s layer)" "$(sha256sum layer | cut -d ' ' -f 1)" > manifest
        curl -s -f -u "$login" -X PUT -H "Content-Type: $type" --data-binary @manifest "$url/v2/$1/manifests/$2"
    )
}

# everything [PATTERN]: all tags that can be pulled, with the digests of all their bytes. Fails when one is not whole.
everything() {
    for name in $(curl -s -f -u "$login" "$url/v2/_catalog?n=1000" | jq -r '.repositories[]' | grep "${1:-.}"); do
        for tag in $(curl -s -f -u "$login" "$url/v2/$name/tags/list" | jq -r '.tags[]?' | sort); do
            curl -s -f -u "$login" -H 'Accept: application/vnd.oci.image.manifest.v1+json' "$url/v2/$name/manifests/$tag" > read
            echo "$name:$tag $(sha256sum < read)"
            for blob in $(jq -r '.config.digest, .layers[].digest' read); do
                curl -s -f -u "$login" "$url/v2/$name/blobs/$blob" > blob
                [ "sha256:$(sha256sum < blob | cut -d ' ' -f 1)" = "$blob" ]
            done
        done
    done
}

# pusher NUMBER: pushes until it is told to stop.
pusher() {
    i=0
    while [ ! -e stop ] && [ $i -lt 200 ]; do
        i=$((i + 1))
        push "busy$1" "t$((i % 7))" "layer $1 $i"
    done
}

up
for n in 1 2 3; do push "calm/app$n" "$n.0" "calm $n"; done
everything calm > calm
[ "$(wc -l < calm)" = 3 ]

set +x
pushers=
for n in 1 2 3 4; do
    pusher $n &
    pushers="$pushers $!"
done
# All of them have begun.
for _ in $(seq 600); do
    if [ "$(curl -s -f -u "$login" "$url/v2/_catalog" | jq '.repositories | length')" = 7 ]; then break; fi
    sleep 0.1
done
set -x
# A file that changes while it is read is told with status 1.
tar -czf registry-backup.tar.gz registry/data || [ $? = 1 ]
wharf backup --config registry/config.yml --to b0.tar.zst
wharf backup --config registry/config.yml --to backups
wharf verify b0.tar.zst
wharf verify backups
touch stop
# shellcheck disable=SC2086
wait $pushers
everything > all

# Only what is new is sent.
push late 1.0 late
wharf backup --config registry/config.yml --to b.tar.zst --since b0.tar.zst --json > taken.json
wharf backup --config registry/config.yml --to backups
[ "$(wharf backup ls backups | wc -l)" = 2 ]
[ "$(stat -c %a b.tar.zst)" = 600 ]
[ "$(find backups -type f ! -perm 600 ! -path 'backups/wharf/lock' | wc -l)" = 0 ]
everything > with-late
wharf verify b.tar.zst
wharf restore b.tar.zst --to busy/data
fails 1 wharf restore b.tar.zst --config registry/config.yml
grep 'cannot restore while a server runs' said
stop

# What our own backup has is what there was, with the users.
up "$PWD/busy/data"
everything > restored
diff with-late restored
stop
cmp busy/data.settings/htpasswd registry/htpasswd
cmp busy/data.settings/config.yml registry/config.yml
wharf restore backups --to other/data
up "$PWD/other/data"
everything > restored
diff with-late restored
stop

# A tag that has moved since is left alone and named, unless it is to go back; one repository comes under another name.
up "$PWD/other/data"
push calm/app1 1.0 'newer than the backup'
everything calm/app1 > newer
fails 1 wharf restore backups --to other/data --force
grep 'cannot restore while a server runs' said
stop
fails 3 wharf restore backups --to other/data
grep 'the tag `calm/app1:1.0` stays at' said
wharf restore backups --to other/data --repository calm/app1 --as old/app1
fails 3 wharf restore backups --to other/data --dry-run --json
up "$PWD/other/data"
everything calm/app1 > restored
diff newer restored
everything old/app1 | sed 's/^old/calm/' > restored
grep calm/app1 calm | diff - restored
stop
wharf restore backups --to other/data --force
up "$PWD/other/data"
everything calm > restored
diff calm restored
stop

# A backup and a restore that are killed at any moment are completed by the next ones.
mkdir killed
for delay in 0 0.01 0.02 0.05 0.1 0.2; do
    for command in "backup --config registry/config.yml --to killed/backups-$delay" 'restore backups --to killed/data'; do
        # shellcheck disable=SC2086
        wharf $command > /dev/null 2>&1 &
        killed=$!
        sleep $delay
        kill -9 $killed 2> /dev/null || true
        wait $killed || true
    done
    wharf backup --config registry/config.yml --to "killed/backups-$delay"
    wharf verify "killed/backups-$delay"
done
wharf restore backups --to killed/data
up "$PWD/killed/data"
everything > restored
diff with-late restored
stop

# The plain tar: what was not pushed meanwhile is whole when it is unpacked; restored by wharf, everything is that is listed.
rm -rf registry/data/*
tar -xzf registry-backup.tar.gz -C .
up
everything calm > restored
diff calm restored
stop
wharf restore registry-backup.tar.gz --to plain/data || [ $? = 1 ]
up "$PWD/plain/data"
everything > restored
grep -F -f calm restored
stop

# Unpacked a directory too deep.
rm -rf registry/data/*
tar -xzf registry-backup.tar.gz -C registry/data
up
grep 'wharf restore --fix-nesting' server.log
[ "$(curl -s -f -u "$login" "$url/v2/_catalog" | jq '.repositories | length')" = 0 ]
stop
wharf restore --fix-nesting --config registry/config.yml
up
everything calm > restored
diff calm restored
stop

# Cut short, or with a flipped bit.
head -c $(($(stat -c %s b0.tar.zst) / 2)) b0.tar.zst > cut.tar.zst
fails 1 wharf verify cut.tar.zst
grep 'cut short' said
fails 1 wharf restore cut.tar.zst --to cut/data
[ ! -e cut/data/docker ]
blob=$(find backups/blobs -type f | head -n 1)
printf x | dd of="$blob" bs=1 seek=3 conv=notrunc 2> /dev/null
fails 1 wharf backup verify backups
grep "${blob##*/}" said
