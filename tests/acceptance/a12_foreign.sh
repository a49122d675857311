# A12, first part: a token server of another program, at $REALM, decides; the registry trusts its certificate.
cat > config.yml <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $PWD/data}, delete: {enabled: true}}
http: {addr: '127.0.0.1:0'}
auth: {token: {realm: $REALM, service: token-service, issuer: "Acme auth server", rootcertbundle: $PWD/server.pem}}
Y
start wharf serve config.yml
R=localhost:$port
name=education/engineer1-6.2.2
curl -si "http://$R/v2/" | grep -i "^www-authenticate: Bearer realm=\"$REALM\",service=\"token-service\""
echo pw | docker --config ./alice login -u alice --password-stdin "$R" | grep 'Login Succeeded'
fails 1 docker --config ./wrong login -u alice -p wrong "$R"
docker tag greet-python:0.1 "$R/$name:latest"
docker --config ./alice push "$R/$name:latest"
docker rmi "$R/$name:latest"
docker --config ./alice pull "$R/$name:latest"
fails 1 docker --config ./anonymous pull "$R/$name:latest"
echo pw | docker --config ./bob login -u bob --password-stdin "$R" | grep 'Login Succeeded'
docker --config ./bob pull "$R/$name:latest"
docker tag "$R/$name:latest" "$R/$name:2"
fails 1 docker --config ./bob push "$R/$name:2"
docker rmi "$R/$name:latest" "$R/$name:2"
skopeo inspect --tls-verify=false --creds bob:pw "docker://$R/$name:latest" | jq -e '.Digest'
fails 1 skopeo inspect --tls-verify=false "docker://$R/$name:latest"

# With curl, as a script that deletes an image does it.
T=$(curl -sf -u alice:pw "$REALM?account=alice&scope=repository%3Aeducation%2Fengineer1-6.2.2%3Apull&service=token-service" | jq -r .token)
get() { curl -s -o body -D head -w '%{http_code}' -H "Authorization: Bearer $T" -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json' "$@"; }
[ "$(get "http://$R/v2/$name/manifests/latest")" = 200 ]
digest=$(sed -n 's/^docker-content-digest: \([^ ]*\)\r$/\1/Ip' head)
[ "$(get "http://$R/v2/other/manifests/latest")" = 401 ]
[ "$(get -X DELETE "http://$R/v2/$name/manifests/$digest")" = 401 ]
grep -i "scope=\"repository:$name:delete\",error=\"insufficient_scope\"" head
T=$(curl -sf -u alice:pw "$REALM?account=alice&scope=repository:$name:pull,delete&service=token-service" | jq -r .token)
[ "$(get -X DELETE "http://$R/v2/$name/manifests/$digest")" = 202 ]
[ "$(get "http://$R/v2/$name/manifests/latest")" = 404 ]
stop
