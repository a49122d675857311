# A4: listing repositories and tags, with TLS and users, by the API, by the commands, and by other programs.
mkdir auth
wharf htpasswd -Bbc auth/htpasswd alice pw
wharf htpasswd -Bb auth/htpasswd carol pw
wharf cert new localhost --ip 127.0.0.1 --out domain
cat > rules.yml <<YAML
rules:
  - accounts: carol
    repositories: 'org/**'
    allow: pull
YAML
cat > config.yml <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $PWD/data}}
http: {addr: 127.0.0.1:0, tls: {certificate: domain.crt, key: domain.key}}
auth: {htpasswd: {realm: r, path: auth/htpasswd}}
access: {rules: rules.yml, admins: [alice]}
YAML
start wharf serve config.yml
R=localhost:$port

# The images come from a file of docker.
mkdir files && echo hello > files/hello && tar -C files -cf layer.tar .
printf '{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$(sha256sum layer.tar | cut -d ' ' -f 1)" > image.json
printf '[{"Config":"image.json","RepoTags":["greet-python:0.1","greet-python:latest","multi:1","org/nombre:1.0"],"Layers":["layer.tar"]}]' > manifest.json
tar -cf images.tar manifest.json image.json layer.tar
echo pw | wharf login "$R" --user alice --password-stdin
wharf import images.tar "$R"

as() { curl -s --cacert domain.crt -u "$1:pw" "https://$R$2"; }
[ "$(as alice '/v2/_catalog?n=100' | jq -r '.repositories | join(" ")')" = 'greet-python multi org/nombre' ]
curl -s -o /dev/null -D head --cacert domain.crt -u alice:pw "https://$R/v2/_catalog?n=100"
[ "$(grep -ci '^link:' head)" = 0 ]
curl -s -o /dev/null -D head --cacert domain.crt -u alice:pw "https://$R/v2/_catalog?n=2"
tr -d '\r' < head | grep -i '^link: </v2/_catalog?last=multi&n=2>; rel="next"$'
[ "$(curl -s -o body -w '%{http_code}' --cacert domain.crt -u alice:pw "https://$R/v2/_catalog?n=5000")" = 200 ]
[ "$(as carol '/v2/_catalog?n=100' | jq -c .repositories)" = '["org/nombre"]' ]
[ "$(as alice /v2/org/nombre/tags/list | jq -c .)" = '{"name":"org/nombre","tags":["1.0"]}' ]
[ "$(as alice /v2/nope/tags/list | jq -r '.errors[0].code')" = NAME_UNKNOWN ]

[ "$(wharf repo ls "https://$R" -u alice:pw | tr '\n' ' ')" = 'greet-python multi org/nombre ' ]
[ "$(wharf repo ls "https://$R" -u carol:pw)" = org/nombre ]
wharf repo ls -l "$R" | grep '^greet-python  2 '
[ "$(wharf tag ls "$R/greet-python" | tr '\n' ' ')" = '0.1 latest ' ]
wharf tag ls "https://$R/greet-python" --json | jq -e '.[0] | {tag,digest,size,pushed,platforms} |
    .tag == "0.1" and (.digest | startswith("sha256:")) and .size > 0 and (.pushed | startswith("20")) and .platforms == ["linux/amd64"]'
[ "$(wharf tag ls "$R/org/nombre" -u carol:pw -o name)" = 1.0 ]
fails 1 wharf tag ls "$R/multi" -u carol:pw
grep carol said
fails 1 wharf tag ls "$R/greet-pythn"
grep 'did you mean `greet-python`' said

# Other programs list the same.
[ "$(skopeo list-tags --creds alice:pw --tls-verify=false "docker://$R/greet-python" | jq -c .Tags)" = '["0.1","latest"]' ]
[ "$(crane catalog --insecure "$R" | tr '\n' ' ')" = 'greet-python multi org/nombre ' ]
regctl registry set "$R" --tls insecure --skip-check
[ "$(regctl repo ls "$R" | tr '\n' ' ')" = 'greet-python multi org/nombre ' ]
stop
