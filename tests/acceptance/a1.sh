# A1: setup with TLS and users.
mkdir -p t/data t/auth t/certs && cd t
wharf pwgen 12 1 | tr -d '\n' > .pass-alice
[ "$(wc -c < .pass-alice)" = 12 ]
[ "$(wharf pwgen 12 1)" != "$(wharf pwgen 12 1)" ]
cat .pass-alice | wharf htpasswd -B -i -c auth/htpasswd alice 2> said
grep -x 'Adding password for user alice' said
grep '^alice:\$2y\$' auth/htpasswd
ln -s "$(command -v registry)" ./htpasswd && ./htpasswd -Bb auth/htpasswd bob pw
$(command -v htpasswd) -vb auth/htpasswd alice "$(cat .pass-alice)"
wharf cert new localhost --ip 127.0.0.1 --out certs/domain
[ "$(stat -c %a certs/domain.key)" = 600 ]
openssl x509 -in certs/domain.crt -noout -ext subjectAltName | grep 'DNS:localhost, IP Address:127.0.0.1'

export REGISTRY_HTTP_ADDR=127.0.0.1:0 REGISTRY_HTTP_TLS_CERTIFICATE=$PWD/certs/domain.crt REGISTRY_HTTP_TLS_KEY=$PWD/certs/domain.key
export REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM="Registry Realm" REGISTRY_AUTH_HTPASSWD_PATH=$PWD/auth/htpasswd
export REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$PWD/data
start registry serve "$SHIPPED"
R=localhost:$port
[ "$(curl -s --cacert certs/domain.crt -u "alice:$(cat .pass-alice)" "https://$R/v2/_catalog")" = '{"repositories":[]}' ]
curl -s -i --cacert certs/domain.crt "https://$R/v2/_catalog" | tee head
head -1 head | grep '^HTTP/2 401'
grep 'www-authenticate: Basic realm="Registry Realm"' head
curl -si -u a:b "http://$R/v2/" | tee plain
head -1 plain | grep ' 400 '
grep "https://$R/v2/" plain
# The port is taken: the message names who has it.
taken=$port
REGISTRY_HTTP_ADDR=127.0.0.1:$taken REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$PWD/other fails 1 registry serve "$SHIPPED"
grep "in use by pid $server" said
stop

# A certificate without a name that Docker looks at: it starts, and says so once.
openssl req -newkey rsa:2048 -nodes -keyout certs/cn.key -x509 -days 30 -out certs/cn.crt -subj /CN=localhost 2>/dev/null
# openssl adds none by itself; what it cannot do is leave the v3 basics out, and they do not matter here.
REGISTRY_HTTP_TLS_CERTIFICATE=$PWD/certs/cn.crt REGISTRY_HTTP_TLS_KEY=$PWD/certs/cn.key start registry serve "$SHIPPED"
[ "$(grep -ic 'docker refuses' server.log)" = 1 ]
stop
# A key that belongs to another certificate: one line, and no start.
REGISTRY_HTTP_TLS_KEY=$PWD/certs/cn.key fails 1 registry serve "$SHIPPED"
grep 'domain.crt\|cn.key' said
