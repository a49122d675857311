# A12 with passwords alone: the rules decide as well where no token server stands between the client and the registry.
mkdir auth
wharf htpasswd -Bbc auth/htpasswd alice pw
wharf htpasswd -Bb auth/htpasswd bob pw
cat > rules.yml <<'Y'
rules:
  - {accounts: alice, repositories: ['team/**', 'public/**'], allow: [pull, push]}
  - {accounts: bob, repositories: 'team/**', allow: pull}
  - {accounts: [anonymous, '*'], repositories: 'public/**', allow: pull}
Y
cat > config.yml <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $PWD/data}}
http: {addr: '127.0.0.1:0'}
auth: {htpasswd: {realm: Registry Realm, path: $PWD/auth/htpasswd}}
access: {rules: $PWD/rules.yml}
Y
start wharf serve config.yml
R=localhost:$port
curl -si "http://$R/v2/" | grep -i '^www-authenticate: Basic realm="Registry Realm"'
echo pw | docker --config ./alice login -u alice --password-stdin "$R" | grep 'Login Succeeded'
for name in team/app:1 public/app:1; do
    docker tag greet-python:0.1 "$R/$name"
    docker --config ./alice push "$R/$name"
    docker rmi "$R/$name"
done
fails 1 docker --config ./anonymous pull "$R/team/app:1"
# docs/access.md: without a token server, an engine with its classic image store sends no request without a password.
if docker info --format '{{.DriverStatus}}' | grep 'io.containerd.snapshotter'; then
    docker --config ./anonymous pull "$R/public/app:1"
    docker rmi "$R/public/app:1"
else
    fails 1 docker --config ./anonymous pull "$R/public/app:1"
    grep 'no basic auth credentials' said
fi
containerd_pulls_by_rights
podman_pulls_by_rights
stop
pulls_are_on_record
