# A2: docker login, tag, push, pull, run; over TLS, and over plain HTTP on loopback.
wharf pwgen 12 1 | tr -d '\n' > .pass-alice
mkdir auth certs
wharf htpasswd -B -i -c auth/htpasswd alice < .pass-alice
wharf htpasswd -Bb auth/htpasswd bob pw
wharf cert new localhost --ip 127.0.0.1 --out certs/domain
export REGISTRY_HTTP_ADDR=127.0.0.1:0 REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM="Registry Realm"
export REGISTRY_AUTH_HTPASSWD_PATH=$PWD/auth/htpasswd REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$PWD/data

use() {
    scheme=$1 R=localhost:$port
    cat .pass-alice | docker login --username alice --password-stdin "$scheme$R" | grep 'Login Succeeded'
    fails 1 docker login -u alice -p wrong "$R"
    grep -i '401' said
    docker --config ./cfg login -u bob -p pw "$R"
    [ "$(jq -r ".auths.\"$R\".auth" cfg/config.json)" = "$(printf 'bob:pw' | base64)" ]
    for name in greet-python:0.1 kyo/my-image:1.0 education/engineer1-6.2.2:latest; do
        docker tag greet-python:0.1 "$R/$name"
        docker push "$R/$name"
        docker rmi "$R/$name" | grep "^Untagged: $R/.*@sha256:"
        docker pull "$R/$name"
        [ "$(docker run --rm --network none "$R/$name")" = greetings ]
    done
    docker --config ./cfg manifest inspect --insecure "$R/greet-python:0.1" | jq -e '.schemaVersion == 2'
    docker logout "$R"
    [ "$(jq -r ".auths.\"$R\"" .docker/config.json 2>/dev/null || echo null)" = null ]
    docker --config ./cfg logout "$R"

    # S4-10, S4-11: a credential helper of two lines.
    mkdir -p helpers dir
    printf '#!/bin/sh\nread server\necho '\''{"Username":"alice","Secret":"%s"}'\''\n' "$(cat .pass-alice)" > helpers/docker-credential-miprograma
    printf '#!/bin/sh\necho "credentials not found in native keychain"\nexit 1\n' > helpers/docker-credential-nada
    chmod +x helpers/*
    echo '{"credsStore":"miprograma"}' > dir/config.json
    [ "$(PATH=$PWD/helpers:$PATH wharf repo ls "$scheme$R" --config dir | tr '\n' ' ')" = 'education/engineer1-6.2.2 greet-python kyo/my-image ' ]
    echo '{"credsStore":"nada"}' > dir/config.json
    PATH=$PWD/helpers:$PATH fails 1 wharf repo ls "$scheme$R" --config dir
    grep 'docker login' said
    fails 1 wharf repo ls "$R" --user bob:wrong
    grep 'does not accept the password of `bob`' said
    echo pw | wharf tag ls "$R/greet-python" --user bob --password-stdin --json | jq -e 'map(.tag) == ["0.1"]'
}

REGISTRY_HTTP_TLS_CERTIFICATE=$PWD/certs/domain.crt REGISTRY_HTTP_TLS_KEY=$PWD/certs/domain.key start registry serve "$SHIPPED"
use https://
stop
rm -rf data dir helpers cfg
start registry serve "$SHIPPED"
use ''
stop
