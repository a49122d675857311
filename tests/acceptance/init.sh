# Set-up in a minute: what `wharf init` makes starts as it is, and nothing that exists is touched.

# absent TEXT PLACE: no file there has the text.
absent() { if grep -rF -e "$1" "$2"; then return 1; fi; }

# Everything is made, with the modes that it needs, and the password is in one file alone.
umask 022
wharf init srv/registry --host registry.test --port 5443 --password-out .pass-admin >said
cat said
modes() { (cd srv/registry && stat -c '%a %n' . data auth auth/htpasswd certs certs/domain.key certs/domain.crt config.yml .env docker-compose.yml); }
[ "$(modes | tr '\n' ';')" = "755 .;700 data;700 auth;600 auth/htpasswd;755 certs;600 certs/domain.key;644 certs/domain.crt;644 config.yml;644 .env;644 docker-compose.yml;" ]
[ "$(stat -c %a .pass-admin)" = 600 ]
[ "$(wc -c <.pass-admin)" = 20 ]
[ "$(grep -rlF "$(cat .pass-admin)" . | tr '\n' ';')" = "./.pass-admin;" ]
htpasswd -vb srv/registry/auth/htpasswd admin "$(cat .pass-admin)"
openssl x509 -in srv/registry/certs/domain.crt -noout -ext subjectAltName | grep -F 'DNS:registry.test, DNS:localhost, IP Address:127.0.0.1'
grep -Fx "  docker login -u admin registry.test:5443" said
grep -Fx "  docker       sudo install -D -m 644 $PWD/srv/registry/certs/domain.crt /etc/docker/certs.d/registry.test:5443/ca.crt" said
grep -Fx "  cd $PWD/srv/registry && docker compose up -d" said
grep -Fx "  wharf serve $PWD/srv/registry/config.yml" said
grep -Fx COMPOSE_PROJECT_NAME=registry srv/registry/.env
grep -Fx REGISTRY_PORT=5443 srv/registry/.env
grep -Fx "REGISTRY_USER=$(id -u):$(id -g)" srv/registry/.env

# The configuration is good, from any directory, and starts as it is; only the port is another here.
(cd / && wharf config check "$OLDPWD/srv/registry/config.yml") | grep -F '0 problems, 0 warnings'
REGISTRY_HTTP_ADDR=127.0.0.1:0 start wharf serve "$PWD/srv/registry/config.yml"
U="https://localhost:$port"
asks() { curl -sS --fail --cacert srv/registry/certs/domain.crt "$@"; }
{ printf 'user = "admin:'; cat .pass-admin; echo '"'; } >login
[ "$(curl -s -o /dev/null -w '%{http_code}' --cacert srv/registry/certs/domain.crt "$U/v2/")" = 401 ]
asks -K login "$U/v2/_catalog" | grep -F '{"repositories":[]}'
digest=$(printf layer | sha256sum | cut -d ' ' -f 1)
asks -K login -X POST "$U/v2/app/blobs/uploads/?digest=sha256:$digest" --data-binary layer -H 'Content-Type: application/octet-stream'
asks -K login "$U/v2/app/blobs/sha256:$digest" | grep -Fx layer
mkdir docker
cat .pass-admin | docker --config docker login -u admin --password-stdin "localhost:$port"
absent "$(cat .pass-admin)" server.log
stop

# The file of Compose: relative to its own directory, and nothing in the container is anywhere else.
if command -v docker-compose >/dev/null; then
    docker-compose --file srv/registry/docker-compose.yml --env-file srv/registry/.env config >effective.yml
    cat effective.yml
    grep -F "$PWD/srv/registry/certs" effective.yml
    grep -F 'restart: unless-stopped' effective.yml
    grep -F "$(id -u):$(id -g)" effective.yml
fi

# A second time: all that is in the way is named, and nothing is made or changed.
before=$(find srv -type f -exec sha256sum {} + | sort)
fails 1 wharf init srv/registry --password-out .pass-other
for name in data auth certs config.yml .env docker-compose.yml; do grep -F "\`$PWD/srv/registry/$name\`" said; done
grep -F 'nothing was made' said
[ "$before" = "$(find srv -type f -exec sha256sum {} + | sort)" ]
[ ! -e .pass-other ]
mkdir -p half && touch half/compose.yaml && ln -s nowhere half/auth
fails 1 wharf init half --password-out .pass-other
grep -F "\`$PWD/half/auth\`, \`$PWD/half/compose.yaml\` exist already" said
[ "$(ls -A half | tr '\n' ';')" = "auth;compose.yaml;" ]
touch .pass-there
fails 1 wharf init fresh --password-out .pass-there
[ ! -e fresh ]
fails 1 wharf init .pass-there/below --password-out .pass-other
[ ! -e .pass-other ]

# A failure at the very end takes everything away again.
fails 1 sh -c 'wharf init full/registry --password-out .pass-full >/dev/full'
grep -F 'nothing was made' said
[ ! -e full ]
[ ! -e .pass-full ]

# A password is shown on a terminal only, and once; it never is in a pipe.
fails 1 wharf init piped
grep -F -e '--password-out FILE' said
[ ! -e piped ]
script -qec 'wharf init shown --no-tls --user alice' /dev/null </dev/null | tr -d '\r' >terminal
shown=$(sed -n 's/^password  //p' terminal)
htpasswd -vb shown/auth/htpasswd alice "$shown"
[ "$(grep -cF "$shown" terminal)" = 1 ]
absent "$shown" shown

# Without TLS only this machine can connect, and there is no certificate.
[ ! -e shown/certs ]
grep -F 'addr: 127.0.0.1:5000' shown/config.yml
grep -F '127.0.0.1:${REGISTRY_PORT}:5000' shown/docker-compose.yml
grep -Fx '  docker login -u alice localhost:5000' terminal
wharf config check shown/config.yml | grep -F '0 problems, 0 warnings'

# One's own password: from standard input, and no bad one.
printf 'correct horse\n' | wharf init 'given name' --password-stdin --user "o'neil" >said
htpasswd -vb 'given name/auth/htpasswd' "o'neil" 'correct horse'
absent 'correct horse' said
absent 'correct horse' 'given name'
wharf config check 'given name/config.yml' | grep -F '0 problems, 0 warnings'
for bad in '' changeme admin docker-registry; do
    printf '%s\n' "$bad" >password
    fails 1 sh -c 'wharf init refused --password-stdin <password'
    [ ! -e refused ]
done
fails 1 wharf init refused --password-out .pass-other --user a:b
fails 1 wharf init refused --password-out .pass-other --host https://registry.test
[ ! -e refused ]
[ ! -e .pass-other ]
