# A12, second part: the registry is its own token server; docker stores no password, and rights are those of the rules.
mkdir auth
wharf htpasswd -Bbc auth/htpasswd alice pw
wharf htpasswd -Bb auth/htpasswd bob pw
cat > rules.yml <<'Y'
rules:
  - {accounts: alice, repositories: 'team/**', allow: [pull, push]}
  - {accounts: bob, repositories: 'team/**', allow: pull, comment: 'bob reads only'}
  - {accounts: alice, repositories: 'public/**', allow: [pull, push]}
  - {accounts: [anonymous, '*'], repositories: 'public/**', allow: pull}
Y
cat > config.yml <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $PWD/data}}
http: {addr: '127.0.0.1:0'}
auth: {htpasswd: {realm: Registry Realm, path: $PWD/auth/htpasswd}}
access: {rules: $PWD/rules.yml, tokens: {enabled: true}}
Y
start wharf serve config.yml
R=localhost:$port

# What docker asks for when it logs in, and what it gets.
curl -si "http://$R/v2/" | grep -i "^www-authenticate: Bearer realm=\"http://$R/auth/token\",service=\"wharf\""
curl -sf -u alice:pw "http://$R/auth/token?account=alice&client_id=docker&offline_token=true&service=wharf" > answer
jq -e '.token == .access_token and .expires_in >= 60 and (.issued_at | length) > 0 and (.refresh_token | length) > 0' answer
refresh() { curl -s -o new -w '%{http_code}' -d grant_type=refresh_token -d service=wharf --data-urlencode "refresh_token=$(jq -r .refresh_token answer)" -d 'scope=repository:team/app:pull,push' "http://$R/auth/token"; }
[ "$(refresh)" = 200 ] && [ "$(refresh)" = 200 ]
jq -e '.scope == "repository:team/app:pull,push"' new
# What the rules do not grant is no error, and is not granted.
curl -sf -u bob:pw "http://$R/auth/token?service=wharf&scope=repository:team/app:pull,push&scope=repository:other:pull" | jq -e '.scope == "repository:team/app:pull repository:other:"'

# docker stores a token in place of the password.
echo pw | docker --config ./alice login -u alice --password-stdin "$R" | grep 'Login Succeeded'
[ -n "$(jq -r ".auths.\"$R\".identitytoken // empty" alice/config.json)" ]
[ "$(jq -r ".auths.\"$R\".auth" alice/config.json | base64 -d)" = alice: ]
for name in team/app:1 public/app:1; do
    docker tag greet-python:0.1 "$R/$name"
    docker --config ./alice push "$R/$name"
    docker rmi "$R/$name"
done
docker --config ./alice pull "$R/team/app:1"
# A client without an account pulls what is public, and nothing else.
docker rmi "$R/team/app:1"
docker --config ./anonymous pull "$R/public/app:1"
fails 1 docker --config ./anonymous pull "$R/team/app:1"
# An account that lacks the right is told so.
echo pw | docker --config ./bob login -u bob --password-stdin "$R" | grep 'Login Succeeded'
docker --config ./bob pull "$R/team/app:1"
docker tag "$R/team/app:1" "$R/team/app:2"
fails 1 docker --config ./bob push "$R/team/app:2"
grep -i 'denied\|bob reads only' said
docker rmi "$R/team/app:1" "$R/team/app:2" "$R/public/app:1"

# containerd, podman and skopeo, with and without an account.
containerd_pulls_by_rights
podman_pulls_by_rights
skopeo inspect --tls-verify=false "docker://$R/public/app:1" | jq -e '.Name | endswith("public/app")'
fails 1 skopeo inspect --tls-verify=false "docker://$R/team/app:1"
skopeo inspect --tls-verify=false --creds bob:pw "docker://$R/team/app:1" | jq -e '.Digest'
skopeo copy --src-tls-verify=false --dest-tls-verify=false --src-creds alice:pw --dest-creds alice:pw "docker://$R/team/app:1" "docker://$R/team/copy:1"
fails 1 skopeo copy --src-tls-verify=false --dest-tls-verify=false --src-creds bob:pw --dest-creds bob:pw "docker://$R/team/app:1" "docker://$R/team/copy:2"

# The credential helper stores no password either, and gives docker a token that is soon over.
ln -s "$(command -v wharf)" bin/docker-credential-wharf
export XDG_STATE_HOME=$PWD/state
mkdir helped && echo '{"credsStore":"wharf"}' > helped/config.json
echo pw | docker --config ./helped login -u alice --password-stdin "$R" | grep 'Login Succeeded'
[ "$(stat -c %a state/wharf/credentials.json)" = 600 ]
fails 1 grep -rq 'pw"' state helped
docker --config ./helped pull "$R/team/app:1"
docker rmi "$R/team/app:1"
echo "$R" | docker-credential-wharf get > given
jq -e '.Username == "<token>"' given
[ "$(jq -r .Secret given)" != "$(jq -r '.registries[].refresh_token' state/wharf/credentials.json)" ]
# A token that was given out does not renew itself for longer.
left() { jq -r .Secret "$1" | cut -d. -f2 | tr '_-' '/+' | sed 's/$/==/' | base64 -d 2>/dev/null | jq -r .exp; }
curl -sf -d grant_type=refresh_token -d service=wharf -d refresh_expires_in=99999999 --data-urlencode "refresh_token=$(jq -r .Secret given)" "http://$R/auth/token" | jq '{Secret: .refresh_token}' > renewed
[ "$(left renewed)" -le "$(left given)" ]
printf '{"ServerURL":"%s","Username":"alice","Secret":"wrong"}' "$R" | fails 1 docker-credential-wharf store
grep 'stores no passwords' said
docker-credential-wharf list | jq -e 'length == 1'
docker --config ./helped logout "$R"
echo "$R" | fails 1 docker-credential-wharf get
grep -x 'credentials not found in native keychain' said

# A robot token is the password of any user name, and a bearer token.
token=$(wharf token create ci --repo 'team/**' --allow pull --expires 90d --config config.yml | grep -o 'wharf_[A-Za-z0-9_-]*' | head -1)
[ "$(curl -s -o /dev/null -w '%{http_code}' -u "anything:$token" "http://$R/v2/team/app/manifests/1" -H 'Accept: */*')" = 200 ]
[ "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $token" "http://$R/v2/team/app/tags/list")" = 200 ]
[ "$(curl -s -o /dev/null -w '%{http_code}' -u "anything:$token" -X POST "http://$R/v2/team/app/blobs/uploads/")" = 403 ]
wharf token revoke ci --config config.yml
[ "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $token" "http://$R/v2/team/app/tags/list")" = 401 ]

# The end of a user is the end of what was issued to it.
wharf user rm alice --config config.yml
[ "$(refresh)" = 400 ]
fails 1 docker --config ./alice pull "$R/team/app:1"
wharf access check rules.yml
wharf access test bob push team/app:1.0 --config config.yml || [ $? = 1 ]
stop
wharf activity --config config.yml --account alice --json | grep -q '"push"'
pulls_are_on_record
